//! Existing outputs, full disks.

use crate::support::{Y4m, decoded, encoded, folder, names, read, run, run_with, tiny, write};

#[test]
fn existing_outputs_are_safe() {
    let folder = folder();
    write(&folder, "a.y4m", &Y4m::SMALL.video(3));
    for (line, name) in [
        ("encode a.y4m -o out.lbit", "out.lbit"),
        ("decode in.lbit -o out.y4m", "out.y4m"),
    ] {
        encoded(&folder, "in.lbit", 2, "-y");
        write(&folder, name, b"precious");
        run(&folder, &tiny(line)).expect(1).says(&[name, "-y", "-n"]);
        assert_eq!(read(&folder, name), b"precious");
        run(&folder, &tiny(&format!("{line} -n")))
            .expect(0)
            .says(&[name, "left as it is"]);
        assert_eq!(read(&folder, name), b"precious");
        run(&folder, &tiny(&format!("{line} -y"))).expect(0);
        assert_ne!(read(&folder, name), b"precious");
    }
}

#[test]
fn a_run_that_fails_leaves_the_old_output() {
    let folder = folder();
    write(&folder, "out.lbit", b"precious");
    run_with(&folder, &tiny("encode - -o out.lbit -y"), b"garbage".to_vec()).expect(3);
    assert_eq!(read(&folder, "out.lbit"), b"precious");
    assert_eq!(names(&folder), ["out.lbit"]);
    run_with(
        &folder,
        &tiny("encode - -o no/such/folder.lbit"),
        Y4m::SMALL.video(1),
    )
    .expect(1)
    .says(&["no/such/folder.lbit"]);
}

/// Every write to this device fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let folder = folder();
    encoded(&folder, "a.lbit", 30, "");
    run_with(&folder, &tiny("encode - -o /dev/full"), Y4m::SMALL.video(30))
        .expect(1)
        .says(&["/dev/full", "disk is full"]);
    run(&folder, &tiny("decode a.lbit -o /dev/full --raw rgb24"))
        .expect(1)
        .says(&["/dev/full", "disk is full"]);
}

#[test]
fn quiet_says_errors_only() {
    let folder = folder();
    encoded(&folder, "a.lbit", 2, "");
    write(&folder, "b.y4m", b"old");
    assert_eq!(
        run(&folder, &tiny("decode a.lbit -o b.y4m -n -q"))
            .expect(0)
            .stderr,
        ""
    );
    run(&folder, &tiny("decode a.lbit -o b.y4m -q"))
        .expect(1)
        .says(&["b.y4m"]);
    run(&folder, &tiny("decode a.lbit -o b.y4m -y -v"))
        .expect(0)
        .says(&["bundle"]);
}

#[test]
fn input_and_output_may_be_one_file() {
    let folder = folder();
    write(&folder, "a", &Y4m::SMALL.video(5));
    run(&folder, &tiny("encode a -o a -y")).expect(0);
    assert_eq!(decoded(&folder, "a", "").len(), 5);
}
