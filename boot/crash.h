/* SPDX-License-Identifier: MIT */
/* Faults on demand ("crash=KIND"), so that what a trap prints can be tested from outside. */
#pragma once
#include "lib/parse.h"

/* Commits the fault that @kind names; logs a line and returns if there is no such kind. */
void crash(struct word kind);
