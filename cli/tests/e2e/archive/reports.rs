//! What a run tells.

use super::{archive, clips, names};
use crate::support::{read, run, tiny, write};

#[test]
fn figures_and_pictures() {
    let folder = clips(12);
    write(&folder, "clips/011.y4m", b"<b>no video</b>");
    let report = archive(&folder, "clips -o out --quality-sample 1 --json")
        .expect(3)
        .json();
    assert_eq!(report["schema"], "latentbit.archive/1");
    assert_eq!(
        (report["complete"].as_bool(), report["failed"].as_u64()),
        (Some(true), Some(1))
    );
    let sum = |name: &str| -> u64 {
        let bins = report[name].as_array().unwrap();
        bins.iter().map(|bin| bin["clips"].as_u64().unwrap()).sum()
    };
    assert_eq!([sum("sizes"), sum("lengths"), sum("qualities")], [11; 3]);
    let worst: Vec<f64> = report["worst"]
        .as_array()
        .unwrap()
        .iter()
        .map(|clip| clip["psnr"].as_f64().unwrap())
        .collect();
    assert!(worst.len() == 8 && worst.is_sorted(), "{worst:?}");
    let written: serde_json::Value = serde_json::from_slice(&read(&folder, "out/report.json")).unwrap();
    assert_eq!(written["worst"], report["worst"]);
    let html = String::from_utf8(read(&folder, "out/report.html")).unwrap();
    assert_eq!(html.matches("data:image/png;base64,").count(), 8);
    assert_eq!(html.matches("<svg").count(), 3);
    // Nothing is fetched from elsewhere, and no name is taken for a tag.
    assert!(!html.contains("http") && !html.contains("<b>"));
    // Pictures of clips that are not shown are not kept.
    let pictures = folder.path().join("out/.archive/1-of-1/pictures");
    assert_eq!(std::fs::read_dir(pictures).unwrap().count(), 8);
}

#[test]
fn a_run_that_has_nothing_left_to_do_tells_the_same() {
    let folder = clips(3);
    let first = run(&folder, &tiny("archive clips -o out"))
        .expect(0)
        .says(&["3 clips, 3 of them archived"]);
    let before = names(&folder, "out");
    let again = run(&folder, &tiny("archive clips -o out"))
        .expect(0)
        .says(&["3 clips, 3 of them archived"]);
    assert!(first.stdout.is_empty() && again.stdout.is_empty());
    assert_eq!(names(&folder, "out"), before);
}
