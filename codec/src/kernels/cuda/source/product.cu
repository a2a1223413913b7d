// Convolution without the vendor's library: slow, and right. It checks that library.
KERNEL(direct, Direct) {
    wide index = thread_index();
    if (index >= a.count) return;
    wide output = index % a.outputs, place = index / a.outputs;
    wide x = place % a.out_width, y = place / a.out_width % a.out_height;
    place = place / a.out_width / a.out_height;
    wide t = place % a.out_depth, n = place / a.out_depth;
    const element *weight = (const element *)a.weight + output * a.kernel_depth * a.kernel_height * a.kernel_width * a.inputs;
    float sum = 0.0f;
    for (int i = 0; i < a.kernel_depth; ++i)
        for (int j = 0; j < a.kernel_height; ++j)
            for (int k = 0; k < a.kernel_width; ++k) {
                wide frame = n * a.depth + t * a.stride_depth + i;
                wide row = frame * a.height + y * a.stride_height + j;
                const element *input = (const element *)a.input + (row * a.width + x * a.stride_width + k) * a.inputs;
                for (int c = 0; c < a.inputs; ++c) sum += widen(input[c]) * widen(weight[c]);
                weight += a.inputs;
            }
    ((element *)a.out)[index] = narrow(sum);
}
