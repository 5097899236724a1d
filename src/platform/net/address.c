/* address.c: see address.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const struct {
    uint32_t net;
    int bits;
} not_public4[] = {
    {0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},  {0xA9FE0000, 16},
    {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24}, {0xC0586300, 24}, {0xC0A80000, 16},
    {0xC6120000, 15}, {0xC6336400, 24}, {0xCB007100, 24}, {0xE0000000, 3}, /* 224.0.0.0 and up */
};

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < sizeof not_public4 / sizeof not_public4[0]; i++)
        if ((address ^ not_public4[i].net) >> (32 - not_public4[i].bits) == 0)
            return false;
    return true;
}

static uint32_t word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_public6(const uint8_t *p)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(p, mapped, sizeof mapped) == 0 || memcmp(p, nat64, sizeof nat64) == 0)
        return is_public4(word_at(p + 12));
    if (p[0] >> 5 != 1) /* only 2000::/3 is given out */
        return false;
    if (p[0] == 0x20 && p[1] == 0x02) /* 6to4 */
        return is_public4(word_at(p + 2));
    if (p[0] == 0x20 && p[1] == 0x01) /* 2001::/23: Teredo and others; 2001:db8::/32 */
        return p[2] >= 2 && !(p[2] == 0x0d && p[3] == 0xb8);
    return !(p[0] == 0x3f && p[1] == 0xff && p[2] >> 4 == 0); /* 3fff::/20: documentation */
}

bool address_is_public(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return is_public4(ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return is_public6(((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr);
    return false;
}
