// The kernels as plain C++, for tests on machines without a GPU: a loop over blocks and threads, of which the first of
// each group does the work of all.

#include <cmath>
#include <cstring>

#define DEVICE static inline

struct Index {
    unsigned x, y, z;
};
static thread_local Index blockIdx, threadIdx, blockDim;

#define KERNEL(name, Arguments)                                                                                        \
    static void name(const Arguments &a);                                                                              \
    extern "C" void run_##name(const void *arguments, const unsigned *blocks, unsigned threads, unsigned block) {      \
        blockIdx = Index{block % blocks[0], block / blocks[0] % blocks[1], block / blocks[0] / blocks[1]};             \
        blockDim = Index{threads, 1, 1};                                                                               \
        for (unsigned thread = 0; thread < threads; ++thread) {                                                        \
            threadIdx = Index{thread, 0, 0};                                                                           \
            name(*(const Arguments *)arguments);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(const Arguments &a)

struct Group {
    int lane = 0, lanes = 1;
    bool first;

    explicit Group(int of) : first(threadIdx.x % of == 0) {}
    bool idle() const { return !first; }
    float sum(float value) const { return value; }
    float most(float value) const { return value; }
    unsigned long long either(unsigned long long bits) const { return bits; }
};

DEVICE float bits_to_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
DEVICE unsigned float_to_bits(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}
DEVICE float half_to_float(unsigned short bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float value = exponent ? ldexpf(1024.0f + mantissa, exponent - 25) : ldexpf((float)mantissa, -24);
    return bits >> 15 ? -value : value;
}
DEVICE unsigned short float_to_half(float value) {
    unsigned short sign = float_to_bits(value) >> 16 & 0x8000;
    int exponent;
    float fraction = frexpf(fabsf(value), &exponent);
    if (fraction == 0.0f) return sign;
    // The last bit is worth 2^(exponent - 11), or 2^-24 where numbers are denormal.
    int unit = exponent < -13 ? -24 : exponent - 11;
    unsigned steps = (unsigned)nearbyintf(ldexpf(fabsf(value), -unit));
    // A carry out of the mantissa goes on into the exponent by itself.
    return sign | (unit == -24 ? steps : ((unsigned)(unit + 24) << 10) + steps);
}
