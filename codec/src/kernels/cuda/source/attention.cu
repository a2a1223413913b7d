// Attention. HEAD, where it is given, is the width of a head.

// Turns the pairs of queries and keys by the angles of their positions, where they are.
KERNEL(turn, Turn) {
    wide index = thread_index();
    if (index >= a.count) return;
    int pairs = (int)(a.head / 2);
    int pair = (int)(index % pairs);
    wide head = index / pairs % (2 * a.heads), position = index / pairs / (2 * a.heads);
    element *at = (element *)a.qkv + position * a.position + head * a.head + 2 * pair;
    wide place[3] = {position / (a.height * a.width) % a.frames, position / a.width % a.height, position % a.width};
    const float *table = (const float *)a.tables;
    for (int axis = 0; axis < 3; ++axis) {
        int count = (int)a.pairs[axis];
        if (pair < count) {
            const float *cosines = table + a.cosines[axis], *sines = table + a.sines[axis];
            float c = cosines[place[axis] * count + pair], s = sines[place[axis] * count + pair];
            float real = widen(at[0]), imaginary = widen(at[1]);
            at[0] = narrow(real * c - imaginary * s);
            at[1] = narrow(real * s + imaginary * c);
            return;
        }
        pair -= count;
    }
}

// Rows of scores to weights whose sum is 1, rounded.
KERNEL(softmax, Softmax) {
    Group group((int)a.lanes);
    wide row = thread_index() / a.lanes;
    if (group.idle() || row >= a.rows) return;
    const float *scores = (const float *)a.scores + row * a.scores_row;
    element *weights = (element *)a.weights + row * a.weights_row;
    float most = lowest(), sum = 0.0f;
    for (int i = group.lane; i < a.columns; i += group.lanes) most = fmaxf(most, scores[i]);
    most = group.most(most);
    float scale = bits_to_float((unsigned)a.scale);
    for (int i = group.lane; i < a.columns; i += group.lanes) sum += expf((scores[i] - most) * scale);
    sum = group.sum(sum);
    for (int i = group.lane; i < a.columns; i += group.lanes)
        weights[i] = narrow(expf((scores[i] - most) * scale) / sum);
}

#ifdef HEAD

// Where run `index` of an axis begins and how long it is: the first one ends at the shift, if there is one.
DEVICE void run_of(wide length, wide window, wide shift, wide index, int *start, int *count) {
    wide first = shift > 0 ? shift : window;
    wide begin = index == 0 ? 0 : first + (index - 1) * window;
    wide end = first + index * window;
    if (end > length) end = length;
    *start = (int)begin;
    *count = (int)(end - begin);
}

// Softmax over the keys of a window, online, one query for each thread. All threads of a warp look at the same key at a
// time, so that it is read once for all of them.
KERNEL(attention, Attention) {
    constexpr int V = HEAD % 8 == 0 ? 8 : HEAD % 4 == 0 ? 4 : 2;
    constexpr int KEYS = 4;
    int start[3], count[3];
    wide window = blockIdx.x;
    wide runs[3] = {window / (a.runs[1] * a.runs[2]), window / a.runs[2] % a.runs[1], window % a.runs[2]};
    for (int axis = 0; axis < 3; ++axis)
        run_of(a.length[axis], a.window[axis], a.shift[axis], runs[axis], &start[axis], &count[axis]);
    int seen = count[0] * count[1] * count[2];
    int query = blockIdx.y * blockDim.x + threadIdx.x;
    if (query >= seen) return;
    int heads = (int)a.width / HEAD, head = blockIdx.z % heads;
    // Clips lie one after the other.
    wide clip = blockIdx.z / heads * (a.length[0] * a.length[1] * a.length[2]);
    const element *qkv = (const element *)a.qkv;
    auto place = [&](int index) {
        int t = start[0] + index / (count[1] * count[2]);
        int y = start[1] + index / count[2] % count[1], x = start[2] + index % count[2];
        return clip + (t * a.length[1] + y) * a.length[2] + x;
    };
    float q[HEAD], sum[HEAD];
    wide own = place(query);
    float scale = bits_to_float((unsigned)a.scale);
#pragma unroll
    for (int c = 0; c < HEAD; c += V) {
        load<V>(qkv + own * a.position + head * HEAD + c, q + c);
        for (int i = 0; i < V; ++i) q[c + i] *= scale, sum[c + i] = 0.0f;
    }
    float most = lowest(), total = 0.0f;
    for (int first = 0; first < seen; first += KEYS) {
        float scores[KEYS], highest = most;
        wide places[KEYS];
#pragma unroll
        for (int j = 0; j < KEYS; ++j) {
            bool there = first + j < seen;
            places[j] = place(there ? first + j : first);
            const element *key = qkv + places[j] * a.position + a.width + head * HEAD;
            float score = 0.0f;
#pragma unroll
            for (int c = 0; c < HEAD; c += V) {
                float k[V];
                load<V>(key + c, k);
#pragma unroll
                for (int i = 0; i < V; ++i) score += q[c + i] * k[i];
            }
            scores[j] = there ? score : lowest();
            highest = fmaxf(highest, scores[j]);
        }
        float fade = exp2f(most - highest);
        most = highest;
        total *= fade;
#pragma unroll
        for (int c = 0; c < HEAD; ++c) sum[c] *= fade;
#pragma unroll
        for (int j = 0; j < KEYS; ++j) {
            float weight = exp2f(scores[j] - most);
            total += weight;
            const element *value = qkv + places[j] * a.position + 2 * a.width + head * HEAD;
#pragma unroll
            for (int c = 0; c < HEAD; c += V) {
                float v[V];
                load<V>(value + c, v);
#pragma unroll
                for (int i = 0; i < V; ++i) sum[c + i] += weight * v[i];
            }
        }
    }
    element *out = (element *)a.out + own * a.out_position + head * HEAD;
#pragma unroll
    for (int c = 0; c < HEAD; c += V) {
        float v[V];
        for (int i = 0; i < V; ++i) v[i] = sum[c + i] / total;
        round_to<V>(v, out + c);
    }
}

#endif
