/* SPDX-License-Identifier: MIT */
/* Where bytes come from: main.c has COM1, hvc.c the virtio console. */
#pragma once

#include "guest-tests/lib/cpu.h"

enum { PIC0 = 0x20, PIC1 = 0xa0, VECTOR_PIC0 = 0x20, VECTOR_PIC1 = 0x28 };

/* A byte has come. */
void came(u8 byte);

/* Gives the console as many buffers of so many bytes, by the guest's arguments; interrupts come if @irq. */
void hvc_start(bool irq);
/* All that it has filled, for came(); the buffers are its own again. */
void hvc_take(void);
void hvc_stop(void);
/* Its interrupt: whether there was a reason for it. */
bool hvc_interrupted(void);
