/* SPDX-License-Identifier: MIT */
/* See lib/lineedit.h. Every change but the plainest is shown by drawing the row again. */
#include "lib/lineedit.h"
#include "lib/compiler.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define CTRL(letter) ((letter)&0x1f)
#define ESC	     0x1b
#define DELETE	     0x7f

static void show(struct line_editor *e, const char *bytes, size_t len)
{
	if (len > sizeof(e->show) - e->show_len)
		len = sizeof(e->show) - e->show_len;
	memcpy(e->show + e->show_len, bytes, len);
	e->show_len += len;
}

static void show_text(struct line_editor *e, const char *text)
{
	show(e, text, strlen(text));
}

static void bell(struct line_editor *e)
{
	show(e, "\a", 1);
}

/* The row from its beginning; what stood there beyond is erased, and the cursor goes where it belongs. */
static void draw(struct line_editor *e)
{
	char back[16];

	show_text(e, "\r");
	show_text(e, e->prompt);
	show(e, e->text, e->len);
	show_text(e, "\x1b[K");
	if (e->cursor < e->len)
		show(e, back,
		     fmt_print(back, sizeof(back), "\x1b[%uD", (unsigned int)(e->len - e->cursor)));
}

static void set_text(struct line_editor *e, const char *text)
{
	e->len = strlen(text);
	memcpy(e->text, text, e->len + 1);
	e->cursor = e->len;
}

static void insert(struct line_editor *e, uint8_t key)
{
	if (e->len == LINE_LEN) {
		bell(e);
		return;
	}
	memmove(e->text + e->cursor + 1, e->text + e->cursor, e->len - e->cursor + 1);
	e->text[e->cursor++] = (char)key;
	e->len++;
	if (e->cursor == e->len)
		show(e, e->text + e->len - 1, 1);
	else
		draw(e);
}

/* Takes the bytes from @start to @end out; the cursor stands there afterwards. */
static void cut(struct line_editor *e, size_t start, size_t end)
{
	if (start >= end) {
		bell(e);
		return;
	}
	memmove(e->text + start, e->text + end, e->len - end + 1);
	e->len -= end - start;
	e->cursor = start;
	draw(e);
}

static void move(struct line_editor *e, size_t to)
{
	if (to == e->cursor || to > e->len) {
		bell(e);
		return;
	}
	e->cursor = to;
	draw(e);
}

/* Where the word before the cursor begins. */
static size_t word_start(const struct line_editor *e)
{
	size_t at = e->cursor;

	while (at && e->text[at - 1] == ' ')
		at--;
	while (at && e->text[at - 1] != ' ')
		at--;
	return at;
}

static uint64_t history_oldest(const struct line_editor *e)
{
	return e->history_nr > LINE_HISTORY ? e->history_nr - LINE_HISTORY : 0;
}

/* What was typed of the new line waits until one comes back to it; what was changed of an old one does not. */
static void recall(struct line_editor *e, bool older)
{
	if (older ? e->history_at == history_oldest(e) : e->history_at == e->history_nr) {
		bell(e);
		return;
	}
	if (e->history_at == e->history_nr)
		memcpy(e->draft, e->text, e->len + 1);
	e->history_at += older ? -1UL : 1UL;
	set_text(e, e->history_at == e->history_nr ? e->draft
						   : e->history[e->history_at % LINE_HISTORY]);
	draw(e);
}

static bool is_blank(const struct line_editor *e)
{
	for (size_t i = 0; i < e->len; i++)
		if (e->text[i] != ' ')
			return false;
	return true;
}

/* A blank line, and the same once more, are not worth it. */
static void remember(struct line_editor *e)
{
	const char *newest = e->history[(e->history_nr - 1) % LINE_HISTORY];

	if (is_blank(e) || (e->history_nr && memcmp(newest, e->text, e->len + 1) == 0))
		return;
	memcpy(e->history[e->history_nr++ % LINE_HISTORY], e->text, e->len + 1);
}

static enum line_state enter(struct line_editor *e)
{
	remember(e);
	show_text(e, "\r\n");
	return LINE_COMPLETE;
}

/* Gives the line up, and leaves it on the screen. */
static void cancel(struct line_editor *e)
{
	show_text(e, "^C\r\n");
	e->history_at = e->history_nr;
	set_text(e, "");
	draw(e);
}

/* A key that is no text, by the control character that has always meant it. */
static enum line_state command(struct line_editor *e, uint8_t key)
{
	switch (key) {
	case CTRL('A'):
		move(e, 0);
		break;
	case CTRL('B'):
		move(e, e->cursor - 1); /* of 0: beyond all */
		break;
	case CTRL('C'):
		cancel(e);
		break;
	case CTRL('D'):
		cut(e, e->cursor, e->cursor < e->len ? e->cursor + 1 : e->cursor);
		break;
	case CTRL('E'):
		move(e, e->len);
		break;
	case CTRL('F'):
		move(e, e->cursor + 1);
		break;
	case CTRL('H'):
	case DELETE:
		cut(e, e->cursor ? e->cursor - 1 : 0, e->cursor);
		break;
	case CTRL('K'):
		cut(e, e->cursor, e->len);
		break;
	case CTRL('L'):
		draw(e);
		break;
	case CTRL('J'):
	case CTRL('M'):
		return enter(e);
	case CTRL('N'):
		recall(e, false);
		break;
	case CTRL('P'):
		recall(e, true);
		break;
	case CTRL('U'):
		cut(e, 0, e->cursor);
		break;
	case CTRL('W'):
		cut(e, word_start(e), e->cursor);
		break;
	default:
		bell(e);
		break;
	}
	return LINE_OPEN;
}

/* A whole control sequence: arrows, and the keys above them as the usual terminals send them. */
static void act_on_sequence(struct line_editor *e)
{
	static const struct {
		char text[4];
		uint8_t key;
	} keys[] = {
		{ "[A", CTRL('P') },  { "[B", CTRL('N') },  { "[C", CTRL('F') },
		{ "[D", CTRL('B') },  { "[H", CTRL('A') },  { "[F", CTRL('E') },
		{ "[1~", CTRL('A') }, { "[4~", CTRL('E') }, { "[3~", CTRL('D') },
		{ "[7~", CTRL('A') }, { "[8~", CTRL('E') }, { "OA", CTRL('P') },
		{ "OB", CTRL('N') },  { "OC", CTRL('F') },  { "OD", CTRL('B') },
		{ "OH", CTRL('A') },  { "OF", CTRL('E') },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (memcmp(keys[i].text, e->sequence, sizeof(e->sequence)) == 0) {
			command(e, keys[i].key);
			return;
		}
	}
	bell(e);
}

/*
 * The next byte of one: ESC, then "O" and a byte, or "[", parameters and a final byte. One that is too long to be any that
 * we know is followed to its end all the same: nothing of it is text. False if @key is not part of it.
 */
static bool continue_sequence(struct line_editor *e, uint8_t key)
{
	bool first = e->sequence_len == 0;

	if (key < ' ' || key > '~' || (first && key != '[' && key != 'O')) {
		e->in_sequence = false;
		bell(e);
		return key >= ' '; /* ESC and a letter: a key that means nothing */
	}
	if (e->sequence_len < sizeof(e->sequence) - 1)
		e->sequence[e->sequence_len++] = (char)key;
	else
		e->sequence[0] = '?'; /* none that is known */
	if (first || (key < '@' && e->sequence[0] != 'O'))
		return true;
	e->in_sequence = false;
	act_on_sequence(e);
	return true;
}

enum line_state line_key(struct line_editor *e, uint8_t key)
{
	uint8_t last = e->last;

	e->show_len = 0;
	e->last = key;
	if (e->in_sequence && continue_sequence(e, key))
		return LINE_OPEN;
	if (key == ESC) {
		memset(e->sequence, 0, sizeof(e->sequence));
		e->sequence_len = 0;
		e->in_sequence = true;
		return LINE_OPEN;
	}
	if (key == '\n' && last == '\r')
		return LINE_OPEN; /* the line end was both */
	if (key >= ' ' && key <= '~') {
		insert(e, key);
		return LINE_OPEN;
	}
	return command(e, key);
}

void line_show(struct line_editor *e)
{
	e->show_len = 0;
	draw(e);
}

void line_next(struct line_editor *e)
{
	e->history_at = e->history_nr;
	set_text(e, "");
	line_show(e);
}

void line_init(struct line_editor *e, const char *prompt)
{
	memset(e, 0, sizeof(*e));
	e->prompt = prompt;
}
