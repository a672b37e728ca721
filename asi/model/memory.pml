/* SPDX-License-Identifier: MIT */
/*
 * Memory that CPUs share, as x86 has it: a store waits in its CPU's buffer, of one entry here, and is seen by the
 * others when it leaves that, at the latest before the next store. Fences, locked instructions and MOV to CR3 empty the buffer. The
 * CPU itself sees its own store at once. With one CPU there is nobody to see a difference, and no buffer.
 */
#define CURR(c)	      (1 + (c))
#define CR3_GEN(c)    (1 + CPUS + (c))
#define HOST_ON(c)    (1 + 2 * CPUS + (c))
#define HOST_SEEN(c)  (1 + 3 * CPUS + (c))
#define SHARED	      (1 + 4 * CPUS)
#define GEN	      SHARED       /* asi->tlb_gen of domain A */
#define SINCE	      (SHARED + 1) /* of the record of its last unmapping */
#define RANGE	      (SHARED + 2) /* a page: va and len are stored, and read, between the same barriers */
#define HOST_GEN      (SHARED + 3)
#define WORDS	      (SHARED + 4)

byte memory[WORDS];
#ifndef BUFFERS
#define BUFFERS 0
#endif

#if BUFFERS
byte buffered[CPUS], waiting[CPUS]; /* the word, 0 if there is none, and what it will be */

#define LOAD(word) (buffered[CPU] == (word) -> waiting[CPU] : memory[word])
#define STORE(word, what) d_step { SET(word, what) }
/* The same within d_step. */
#define SET(word, what)                    \
	drain(CPU);                        \
	if                                 \
	:: memory[word] != (what) ->       \
		waiting[CPU] = (what);       \
		buffered[CPU] = (word)     \
	:: else                            \
	fi

/* Within d_step. */
inline drain(c)
{
	memory[buffered[c]] = waiting[c];
	buffered[c] = 0;
	waiting[c] = 0;
	memory[0] = 0
}
/* A locked instruction. */
#define EXCHANGE(word, what)           \
	d_step {                       \
		drain(CPU);            \
		memory[word] = (what)  \
	}

#else
#define LOAD(word)	  memory[word]
#define STORE(word, what) memory[word] = (what)
#define EXCHANGE(word, what) memory[word] = (what)
#define drain(c)	  skip
#endif
