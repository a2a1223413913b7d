//! The same operators under divan, for its statistics: `cargo bench --bench divan -- --help`. On one core; the GFLOP/s
//! of `cargo bench --bench operators` are on all of them.

mod list;

use divan::Bencher;
use divan::counter::ItemsCount;
use latentbit_codec::Dtype;
use rayon::ThreadPoolBuilder;

fn main() {
    divan::main();
}

/// Number type and name of each operator.
fn cases() -> Vec<String> {
    let names = |dtype: Dtype| {
        list::operators(dtype)
            .into_iter()
            .flatten()
            .map(move |o| format!("{dtype} {}", o.name))
    };
    [Dtype::Bf16, Dtype::F32].into_iter().flat_map(names).collect()
}

/// Items are operations of the definition.
#[divan::bench(args = cases(), sample_size = 1)]
fn operator(bencher: Bencher<'_, '_>, case: &str) {
    let Some((dtype, name)) = case.split_once(' ') else {
        return;
    };
    let all = dtype.parse().map_err(Into::into).and_then(list::operators);
    let Some(mut operator) = all.into_iter().flatten().find(|operator| operator.name == name) else {
        return;
    };
    let Ok(pool) = ThreadPoolBuilder::new().num_threads(1).build() else {
        return;
    };
    let bencher = bencher.counter(ItemsCount::new(operator.flops as u64));
    bencher.bench_local(|| pool.install(&mut operator.run));
}
