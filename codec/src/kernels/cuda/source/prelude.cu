// What the kernels stand on. NVRTC compiles them for a GPU; the tests compile them as C++ for the host, where a loop
// takes the place of threads and a group of lanes is a single one (see host.h).
//
// ELEMENT is the number type of operands: 0 for f32, 1 for bf16, 2 for f16.

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define KERNEL(name, Arguments) extern "C" __global__ void __launch_bounds__(256) name(const Arguments a)

// Lanes of a group work on one position together; a group is a power of two of at most 32 lanes.
struct Group {
    int lane, lanes;
    unsigned mask;

    DEVICE explicit Group(int of) : lane(threadIdx.x % of), lanes(of) {
        unsigned all = of == 32 ? 0xffffffffu : (1u << of) - 1;
        mask = all << (threadIdx.x % 32 / of * of);
    }
    DEVICE bool idle() const { return false; }
    DEVICE float sum(float value) const {
        for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(mask, value, step);
        return value;
    }
    DEVICE float most(float value) const {
        for (int step = lanes / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(mask, value, step));
        return value;
    }
    DEVICE unsigned long long either(unsigned long long bits) const {
        for (int step = lanes / 2; step > 0; step /= 2) bits |= __shfl_xor_sync(mask, bits, step);
        return bits;
    }
};

DEVICE float bits_to_float(unsigned bits) { return __uint_as_float(bits); }
DEVICE unsigned float_to_bits(float value) { return __float_as_uint(value); }
DEVICE float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
DEVICE unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

#endif

typedef long long wide;

#if ELEMENT == 0

typedef float element;
DEVICE float widen(element value) { return value; }
DEVICE element narrow(float value) { return value; }

#elif ELEMENT == 1

typedef unsigned short element;
DEVICE float widen(element bits) { return bits_to_float((unsigned)bits << 16); }
// To the nearest, ties to even, as on the CPU.
DEVICE element narrow(float value) {
    unsigned bits = float_to_bits(value);
    return (element)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#else

typedef unsigned short element;
DEVICE float widen(element bits) { return half_to_float(bits); }
// What f16 cannot hold becomes its largest value rather than infinity, which would spread over the whole picture.
DEVICE element narrow(float value) {
    value = value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value;
    return float_to_half(value);
}

#endif

// V values that lie side by side, moved in one piece where the hardware can.
template <int V, int BYTES = V * (int)sizeof(element)> struct alignas(BYTES < 16 ? BYTES : 16) Pack { element at[V]; };
template <int V, int BYTES = V * (int)sizeof(float)> struct alignas(BYTES < 16 ? BYTES : 16) Floats { float at[V]; };

#if ELEMENT != 0
template <int V> DEVICE void load(const element *from, float *values) {
    Pack<V> pack = *(const Pack<V> *)from;
#pragma unroll
    for (int i = 0; i < V; ++i) values[i] = widen(pack.at[i]);
}
#endif

template <int V> DEVICE void load(const float *from, float *values) {
    Floats<V> pack = *(const Floats<V> *)from;
#pragma unroll
    for (int i = 0; i < V; ++i) values[i] = pack.at[i];
}

template <int V> DEVICE void save(const float *values, float *into) {
    Floats<V> pack;
#pragma unroll
    for (int i = 0; i < V; ++i) pack.at[i] = values[i];
    *(Floats<V> *)into = pack;
}

template <int V> DEVICE void round_to(const float *values, element *into) {
    Pack<V> pack;
#pragma unroll
    for (int i = 0; i < V; ++i) pack.at[i] = narrow(values[i]);
    *(Pack<V> *)into = pack;
}

DEVICE float lowest() { return bits_to_float(0xff800000u); }

DEVICE wide thread_index() { return (wide)blockIdx.x * blockDim.x + threadIdx.x; }
