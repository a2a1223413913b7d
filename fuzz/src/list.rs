//! A list of clips as lines, JSON lines or a table, and the plan of an archive of it.

use std::collections::HashSet;

use crate::archive::list::rows::{Fields, ListOptions, add_lines, add_table};
use crate::archive::plan::{ArchivePlan, ListPart};
use crate::budget;

pub fn run(data: &[u8]) {
    let Some((&what, data)) = data.split_first() else {
        return;
    };
    budget::within(data, 0, || read(what, data));
}

fn read(what: u8, mut data: &[u8]) {
    let lines = 1 + data.iter().filter(|byte| b"\r\n".contains(byte)).count();
    let options = ListOptions {
        id_path: (what & 4 != 0).then(|| "clips/{id}.mp4".to_owned()),
    };
    let fields = Fields::new("list", "lists", &options);
    let mut items = Vec::new();
    let read = match what & 3 {
        0 => add_table(&fields, data, b',', &mut items),
        1 => add_table(&fields, data, b'\t', &mut items),
        _ => add_lines(&fields, &mut data, &mut items),
    };
    if let Err(error) = read {
        assert!(!error.to_string().is_empty());
    }
    assert!(items.len() <= lines);
    let times = |seconds: Option<f64>| seconds.is_none_or(f64::is_finite);
    assert!(items.iter().all(|item| times(item.start) && times(item.end)));
    let count = items.len() as u64;
    let Ok(plan) = ArchivePlan::new(items, ListPart::WHOLE) else {
        return;
    };
    assert_eq!(plan.total + plan.repeated, count);
    let keys: HashSet<&str> = plan.clips.iter().map(|clip| clip.key.as_str()).collect();
    assert_eq!(keys.len() as u64, plan.total);
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    assert!(keys.iter().all(|key| key.bytes().all(safe)));
}
