// Values to operands and back, and what bypasses the layers of a stage.

// (T, H · patch, W · patch, C) values to an operand whose channel index is (c, column in patch, row in patch).
KERNEL(fill, Fill) {
    wide index = thread_index();
    if (index >= a.count) return;
    int channel = (int)(index % a.position);
    wide place = index / a.position;
    wide x = place % a.width, y = place / a.width % a.height, t = place / a.width / a.height;
    float value = 0.0f;
    if (channel < a.channels) {
        wide patch = a.patch, colors = a.channels / (patch * patch);
        wide row = channel % patch, column = channel / patch % patch, color = channel / (patch * patch);
        wide pixel = ((t * a.height + y) * patch + row) * a.width * patch + x * patch + column;
        value = ((const float *)a.values)[pixel * colors + color];
    }
    ((element *)a.at)[t * a.frame + y * a.row + x * a.position + channel] = narrow(value);
}

// (T, H, W, C · patch²) values of a clip among others to (T, H · patch, W · patch, C).
KERNEL(unpatchify, Unpatchify) {
    wide index = thread_index();
    if (index >= a.count) return;
    wide patch = a.patch, colors = a.channels / (patch * patch);
    wide color = index % colors, pixel = index / colors;
    wide x = pixel % (a.width * patch), y = pixel / (a.width * patch) % (a.height * patch);
    wide frame = pixel / (a.width * patch) / (a.height * patch) * a.clips + a.clip;
    wide channel = (color * patch + x % patch) * patch + y % patch;
    wide position = (frame * a.height + y / patch) * a.width + x / patch;
    ((float *)a.out)[index] = ((const float *)a.values)[position * a.channels + channel];
}

// Zeros in the border of every frame.
KERNEL(border, Border) {
    wide index = thread_index();
    if (index >= a.count) return;
    wide x = index % a.columns, y = index / a.columns % a.rows;
    if (y >= a.top && y < a.bottom && x >= a.left && x < a.right) return;
    element *at = (element *)a.at + index * a.position;
    for (int c = 0; c < a.position; ++c) at[c] = narrow(0.0f);
}

// Copies from a list; all bytes come in sixteens.
KERNEL(copies, Copies) {
    struct alignas(16) Sixteen { unsigned at[4]; };
    const wide *copy = (const wide *)a.list + 3 * (wide)blockIdx.x;
    const Sixteen *from = (const Sixteen *)copy[0];
    Sixteen *to = (Sixteen *)copy[1];
    wide count = copy[2] / 16, step = a.blocks * blockDim.x;
    for (wide i = (wide)blockIdx.y * blockDim.x + threadIdx.x; i < count; i += step) to[i] = from[i];
}

// Averages of neighbouring values on the way down, repeated values on the way up.
KERNEL(shortcut, Shortcut) {
    wide index = thread_index();
    if (index >= a.count) return;
    const float *values = (const float *)a.values;
    wide channel = index % a.outputs, place = index / a.outputs;
    wide x = place % a.width, y = place / a.width % a.height, frame = place / a.width / a.height;
    wide time = a.time, space = a.space, block = time * space * space;
    wide clip = frame % a.clips;
    frame /= a.clips;
    float result = 0.0f;
    if (a.up) {
        frame += a.lead;
        wide from = (((frame / time * a.clips + clip) * a.from_height + y / space) * a.from_width + x / space) * a.inputs;
        wide within = (frame % time * space + y % space) * space + x % space;
        wide repeats = a.outputs * block / a.inputs;
        result = values[from + (channel * block + within) / repeats];
    } else {
        wide group = a.inputs * block / a.outputs;
        for (wide i = channel * group; i < (channel + 1) * group; ++i) {
            wide input = i / block, within = i % block;
            wide t = frame * time + within / (space * space) - a.lead;
            wide row = y * space + within / space % space, column = x * space + within % space;
            if (t >= 0) result += values[(((t * a.clips + clip) * a.from_height + row) * a.from_width + column) * a.inputs + input];
        }
        result /= (float)group;
    }
    ((float *)a.out)[index] = result;
}
