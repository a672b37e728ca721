/* SPDX-License-Identifier: MIT */
/*
 * A line that is typed at a terminal (ECMA-48 control sequences): editing keys and history. Bytes in, bytes out; it reads
 * and writes no device, and allocates nothing.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With its prompt a line fits a terminal of 80 columns, so that it is never wrapped. */
#define LINE_LEN	64
#define LINE_PROMPT_MAX 14
#define LINE_HISTORY	16
#define LINE_SHOW_MAX	(LINE_PROMPT_MAX + LINE_LEN + 16)

enum line_state { LINE_OPEN, LINE_COMPLETE };

struct line_editor {
	const char *prompt;
	char text[LINE_LEN + 1]; /* ends in NUL */
	size_t len, cursor;
	char show[LINE_SHOW_MAX]; /* what the terminal is to be sent for the last key */
	size_t show_len;
	uint8_t last;	  /* key, to take CR LF for one */
	bool in_sequence; /* ESC has come */
	char sequence[4]; /* what came behind it; ends in NUL */
	size_t sequence_len;
	/* Lines entered, the newest at history_nr - 1, each at its number modulo LINE_HISTORY. */
	char history[LINE_HISTORY][LINE_LEN + 1];
	uint64_t history_nr, history_at; /* the one shown; history_nr: the new line */
	char draft[LINE_LEN + 1];	 /* the new line, while an old one is shown */
};

/* An empty line and no history. @prompt stays. */
void line_init(struct line_editor *e, const char *prompt);

/*
 * Takes a key. LINE_COMPLETE: text is the line, until line_next(). Either way show is what the terminal is to be sent; a key
 * that means nothing rings its bell.
 */
enum line_state line_key(struct line_editor *e, uint8_t key);

/* Begins a new line, and shows it: the prompt. */
void line_next(struct line_editor *e);

/* Shows the line as it is, with its prompt, in a row of the terminal that is empty. */
void line_show(struct line_editor *e);
