/* SPDX-License-Identifier: MIT */
/* The real lock, where unittests/fake/ has one for a single thread. */
#pragma once
#include "arch/x86/include/arch/spinlock.h"
