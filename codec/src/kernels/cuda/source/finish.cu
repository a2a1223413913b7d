// The end of a product: bias, activation, stream, norm, and the operands of what follows.

// The values of channels c to c + V of a position, before they go anywhere.
template <int V>
DEVICE void finished(const Finish &a, wide sums, const float *bias, const float *stream, int c, float *v) {
    if (a.wide_sums) {
        load<V>((const float *)a.sums + sums + c, v);
    } else {
        load<V>((const element *)a.sums + sums + c, v);
    }
    if (bias) {
        float b[V];
        load<V>(bias + c, b);
#pragma unroll
        for (int i = 0; i < V; ++i) v[i] += b[i];
    }
    if (a.gelu) {
        // x · (1 + tanh u) / 2 = x · sigmoid(2u).
#pragma unroll
        for (int i = 0; i < V; ++i) {
            float u = 0.7978846f * (v[i] + 0.044715f * v[i] * v[i] * v[i]);
            v[i] = v[i] / (1.0f + expf(-2.0f * u));
        }
    }
    if (a.add) {
        float s[V];
        load<V>(stream + c, s);
#pragma unroll
        for (int i = 0; i < V; ++i) v[i] += s[i];
    }
}

template <int V> DEVICE void finish_position(const Finish &a, unsigned position, const Group &group) {
    unsigned width = (unsigned)a.width, height = (unsigned)a.height;
    // Among the sums: the place of this launch. Everywhere else it counts from the first output of all.
    unsigned x = position % width, y = position / width % height, f = position / width / height;
    wide sums;
    const float *bias = (const float *)a.bias;
    if (a.linear) {
        sums = (wide)position * a.sums_position;
    } else {
        int zoom = (int)a.zoom, phases = (int)a.phases;
        unsigned clips = (unsigned)a.clips, clip = f % clips, step = f / clips;
        int pf = step % phases, py = y % zoom, px = x % zoom;
        wide row = y / zoom + (py ? a.second_row : a.first_row);
        wide column = x / zoom + (px ? a.second_column : a.first_column);
        sums = (step / phases) * a.sums_step + clip * a.sums_clip + row * a.sums_row + column * a.sums_position +
               ((pf * zoom + py) * zoom + px) * a.block;
        if (bias) bias += pf * a.channels;
    }
    position += (unsigned)a.first;
    x = position % width, y = position / width % height, f = position / width / height;
    int channels = (int)a.channels;
    float *stream = (float *)a.stream + (wide)position * channels;
    element *targets[3];
    bool normed = false;
    for (int t = 0; t < 3; ++t) {
        const Target &target = a.targets[t];
        targets[t] = target.at ? (element *)target.at + f * target.frame + y * target.row + x * target.position : 0;
        normed |= target.at && target.norm;
    }
    float square = 0.0f;
    unsigned long long bits = 0;
    for (int c = group.lane * V; c < channels; c += group.lanes * V) {
        float v[V];
        finished<V>(a, sums, bias, stream, c, v);
        if (a.store) save<V>(v, stream + c);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            square += v[i] * v[i];
            if (a.tokens && v[i] > 0.0f) bits |= 1ull << (c + i);
        }
        for (int t = 0; t < 3; ++t)
            if (targets[t] && !a.targets[t].norm) round_to<V>(v, targets[t] + c);
    }
    if (normed) {
        square = group.sum(square);
        for (int c = group.lane * V; c < channels; c += group.lanes * V) {
            float v[V];
            if (a.store) {
                load<V>(stream + c, v);
            } else {
                finished<V>(a, sums, bias, stream, c, v);
            }
            for (int t = 0; t < 3; ++t) {
                const Target &target = a.targets[t];
                if (!targets[t] || !target.norm) continue;
                float factor = target.norm == 1 ? sqrtf((float)channels) / fmaxf(sqrtf(square), 1e-12f)
                                                : 1.0f / sqrtf(square / (float)channels + 1e-6f);
                float w[V], gain[V];
                load<V>((const float *)target.gain + c, gain);
#pragma unroll
                for (int i = 0; i < V; ++i) {
                    float scaled = v[i] * factor * gain[i];
                    w[i] = target.silu ? scaled / (1.0f + expf(-scaled)) : scaled;
                }
                round_to<V>(w, targets[t] + c);
            }
        }
    }
    for (int t = 0; t < 3; ++t)
        if (targets[t])
            for (int c = channels + group.lane; c < a.targets[t].position; c += group.lanes) targets[t][c] = narrow(0.0f);
    if (a.tokens) {
        bits = group.either(bits);
        if (group.lane == 0) ((unsigned long long *)a.tokens)[position] = bits;
    }
}

KERNEL(finish, Finish) {
    Group group((int)a.lanes);
    wide position = thread_index() / a.lanes;
    if (group.idle() || position >= a.count) return;
    if (a.vector == 4) {
        finish_position<4>(a, (unsigned)position, group);
    } else {
        finish_position<1>(a, (unsigned)position, group);
    }
}
