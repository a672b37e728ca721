/* SPDX-License-Identifier: MIT */
/* The error numbers we use, returned negative; ENOMEM is lack of memory and nothing else. */
#pragma once

#define EPERM	1  /* the caller may not */
#define ENOENT	2  /* no such thing */
#define EIO	5  /* a device or an access failed */
#define E2BIG	7  /* too large, too long */
#define ENOEXEC 8  /* no image format that we know */
#define EAGAIN	11 /* not now */
#define ENOMEM	12 /* memory has run out */
#define EFAULT	14 /* an address that leads nowhere */
#define EBUSY	16 /* in use */
#define EEXIST	17 /* there already */
#define ENODEV	19 /* the machine lacks it */
#define EINVAL	22 /* not a legal value */
#define ENOSPC	28 /* a table of ours is full */
#define ERANGE	34 /* outside the allowed range */
