/* ed25519.h: signatures (RFC 8032) over OpenSSL.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum { ED25519_SEED_BYTES = 32, ED25519_PUBLIC_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };

void ed25519_public(const uint8_t seed[ED25519_SEED_BYTES], uint8_t out[ED25519_PUBLIC_BYTES]);
void ed25519_sign(const uint8_t seed[ED25519_SEED_BYTES], struct str text, uint8_t out[ED25519_SIGNATURE_BYTES]);
bool ed25519_verify(const uint8_t key[ED25519_PUBLIC_BYTES], struct str text, const uint8_t signature[ED25519_SIGNATURE_BYTES]);
