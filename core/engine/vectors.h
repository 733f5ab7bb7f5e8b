// Vectors of 16 floats, the compiler's own, which it lowers to what the machine has.

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats4 __attribute__((vector_size(16)));

static const int LANES = 16;

static inline Floats load(const float* p) { Floats v; memcpy(&v, p, sizeof v); return v; }
static inline void store(float* p, Floats v) { memcpy(p, &v, sizeof v); }
static inline Floats fill(float x) { return x - (Floats){}; }

static inline Floats keep(Floats v, Ints mask) { return (Floats)((Ints)v & mask); }  // else 0

static inline Floats load(const uint16_t* p) {
    Halves halves;
    memcpy(&halves, p, sizeof halves);
    Words words = __builtin_convertvector(halves, Words) << 16;
    return (Floats)words;
}

static inline float total(Floats v) {
    Floats8 a, b;
    memcpy(&a, &v, 32), memcpy(&b, (char*)&v + 32, 32);
    a += b;
    Floats4 c, d;
    memcpy(&c, &a, 16), memcpy(&d, (char*)&a + 16, 16);
    c += d;
    return (c[0] + c[1]) + (c[2] + c[3]);
}

static inline float get(const float* p) { return *p; }
static inline float get(const uint16_t* p) {
    uint32_t word = (uint32_t)*p << 16;
    float value;
    memcpy(&value, &word, 4);
    return value;
}
static inline void put(float* p, float x) { *p = x; }
static inline void put(uint16_t* p, float x) {  // to the nearest, ties to even
    uint32_t word;
    memcpy(&word, &x, 4);
    *p = (uint16_t)((word + 0x7fff + ((word >> 16) & 1)) >> 16);
}

// e^x to 2 units in the last place (Cephes' expf): x = n ln 2 + r, and a polynomial in r.
static inline Floats exp16(Floats x) {
    Ints low = x < -87.0f, high = x > 88.0f;
    x = (Floats)((low & (Ints)fill(-87.0f)) | (~low & (Ints)x));
    x = (Floats)((high & (Ints)fill(88.0f)) | (~high & (Ints)x));
    Floats magic = fill(12582912.0f), n = x * 1.44269504088896341f + magic;
    Ints exponent = ((Ints)n - (Ints)magic + 127) << 23;
    n -= magic;
    Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Floats p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r + 1.0f) * (Floats)exponent;
}
