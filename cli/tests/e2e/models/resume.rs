//! Pulls that are interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::hub::{Hub, Reply, Request, told};
use super::{CONFIG, Run, listed, models, pth, sha256, weights};
use crate::support::{folder, read, write};

/// A hub that hangs up after so many bytes of each answer until it is mended.
fn failing_hub(content: Vec<u8>, bytes: usize) -> (Hub, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&mended);
    let hash = sha256(&content);
    let hub = Hub::new(move |request| {
        let reply = told(request, &content, Some(&hash));
        match state.load(Ordering::Relaxed) {
            true => reply,
            false => reply.cut_after(bytes),
        }
    });
    (hub, mended)
}

fn last_get(hub: &Hub) -> Request {
    let requests = hub.requests();
    let found = requests.iter().rfind(|request| request.method == "GET");
    found.unwrap().clone()
}

#[test]
fn the_next_pull_goes_on_where_the_last_one_stopped() {
    let folder = folder();
    let content = pth(9000);
    let (hub, mended) = failing_hub(content.clone(), 1000);
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    // Three tries in one run, each of which brings something.
    run.run("models pull o/r/a.pth").expect(1).says(&[
        "a.pth: 3000 of 9004 bytes",
        "goes on from there",
        "broke off",
    ]);
    assert_eq!(models(&folder), [""; 0]);
    assert_eq!(read(&folder, "cache/.work/a.pull/a.pth.part"), content[..3000]);
    mended.store(true, Ordering::Relaxed);
    run.run("models pull o/r/a.pth").expect(0);
    assert_eq!(last_get(&hub).header("range"), Some("bytes=3000-"));
    assert_eq!(read(&folder, "cache/a/a.pth"), content);
    assert_eq!(listed(&folder.path().join("cache/a")), ["a.pth", "model.json"]);
    run.run("models verify a").expect(0);
}

#[test]
fn a_pull_that_is_killed_goes_on_with_the_next_one() {
    let folder = folder();
    let content = pth(9000);
    let hash = sha256(&content);
    let whole = content.clone();
    let hub = Hub::new(move |request| {
        let mut reply = told(request, &content, Some(&hash));
        if request.method == "GET" && request.from() == 0 {
            reply = reply.cut_after(5000);
            reply.stall = true;
        }
        reply
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    let mut child = run.command(&["models", "pull", "o/r/a.pth"]).spawn().unwrap();
    let part = folder.path().join("cache/.work/a.pull/a.pth.part");
    let begun = Instant::now();
    while part.metadata().map_or(0, |meta| meta.len()) < 5000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing comes");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(models(&folder), [""; 0]);
    run.run("models pull o/r/a.pth").expect(0);
    assert_eq!(last_get(&hub).header("range"), Some("bytes=5000-"));
    assert_eq!(read(&folder, "cache/a/a.pth"), whole);
}

#[test]
fn a_connection_that_breaks_once_is_taken_up_in_the_same_run() {
    let folder = folder();
    let content = pth(9000);
    let hash = sha256(&content);
    let whole = content.clone();
    let hub = Hub::new(move |request| {
        let reply = told(request, &content, Some(&hash));
        match request.from() {
            0 => reply.cut_after(5000),
            _ => reply,
        }
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/r/a.pth").expect(0);
    assert_eq!(last_get(&hub).header("range"), Some("bytes=5000-"));
    assert_eq!(read(&folder, "cache/a/a.pth"), whole);
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let folder = folder();
    let content = pth(9000);
    let hash = sha256(&content);
    let whole = content.clone();
    let hub = Hub::new(move |request| {
        let mut plain = request.clone();
        let asked = request.from();
        plain.forget_range();
        let reply = told(&plain, &content, Some(&hash));
        match asked {
            0 => reply.cut_after(5000),
            _ => reply,
        }
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/r/a.pth").expect(0).says(&["starts anew"]);
    assert_eq!(read(&folder, "cache/a/a.pth"), whole);
}

#[test]
fn other_bytes_than_asked_for_are_not_used() {
    let folder = folder();
    let content = pth(9000);
    let hash = sha256(&content);
    let whole = content.clone();
    // One answer has a range of its own choice, as some caches have; another says that there is no such range.
    for status in [206, 416] {
        let (content, hash) = (content.clone(), hash.clone());
        let hub = Hub::new(move |request| match request.from() {
            0 if request.header("range").is_none() => told(request, &content, Some(&hash)),
            _ => Reply {
                status,
                body: content[10..].to_vec(),
                ..Reply::default()
            }
            .header("Content-Range", "bytes 10-9003/9004"),
        });
        // Neither finds what the other one left in the shared cache.
        let home = folder.path().join(status.to_string());
        let run_at = |address: &str| {
            let run = Run::new(&folder).with("HF_HOME", home.to_str().unwrap());
            run.with("HF_ENDPOINT", address)
        };
        let run = run_at(&hub.address);
        let name = format!("m{status}");
        let (cut, _) = failing_hub(whole.clone(), 2000);
        let line = format!("models pull o/r/a.pth --name {name}");
        run_at(&cut.address).run(&line).expect(1);
        // The state of the part is that of another address: made to fit, as if it were the same hub.
        let state = format!("cache/.work/{name}.pull/a.pth.part.json");
        let text = String::from_utf8(read(&folder, &state)).unwrap();
        write(
            &folder,
            &state,
            text.replace(&cut.address, &hub.address).as_bytes(),
        );
        run.run(&line).expect(0);
        assert!(hub.requests().iter().any(|request| request.from() == 6000));
        assert_eq!(read(&folder, &format!("cache/{name}/a.pth")), whole);
    }
}

#[test]
fn a_part_of_another_file_is_not_used() {
    let folder = folder();
    let (old, _) = failing_hub(pth(9000), 1000);
    Run::new(&folder)
        .with("HF_ENDPOINT", &old.address)
        .run("models pull o/r/a.pth")
        .expect(1);
    let other: Vec<u8> = pth(9000).into_iter().chain([1]).collect();
    let new = Hub::of_files(vec![("a.pth", other.clone(), Some(sha256(&other)))]);
    Run::new(&folder)
        .with("HF_ENDPOINT", &new.address)
        .run("models pull o/r/a.pth")
        .expect(0);
    assert_eq!(last_get(&new).header("range"), None);
    assert_eq!(read(&folder, "cache/a/a.pth"), other);
}

#[test]
fn files_that_were_finished_are_not_fetched_again() {
    let folder = folder();
    let mended = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&mended);
    let hub = Hub::new(move |request| {
        if request.path.ends_with("config.json") {
            return told(request, CONFIG, None);
        }
        match state.load(Ordering::Relaxed) {
            true => told(request, &weights(), Some(&sha256(&weights()))),
            false => Reply::status(404),
        }
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull wan2.1-vae-diffusers").expect(6);
    assert_eq!(models(&folder), [""; 0]);
    mended.store(true, Ordering::Relaxed);
    run.run("models pull wan2.1-vae-diffusers").expect(0);
    let configs = hub
        .requests()
        .iter()
        .filter(|request| request.method == "GET" && request.path.ends_with("config.json"))
        .count();
    assert_eq!(configs, 1);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let folder = folder();
    let busy = AtomicBool::new(true);
    let hub = Hub::new(move |request| match busy.swap(false, Ordering::Relaxed) {
        true => Reply::status(503),
        false => told(request, &pth(10), None),
    });
    Run::new(&folder)
        .with("HF_ENDPOINT", &hub.address)
        .run("models pull o/r/a.pth")
        .expect(0);
    let dead = Hub::new(|_| Reply::status(500));
    Run::new(&folder)
        .with("HF_ENDPOINT", &dead.address)
        .run("models pull o/r/b.pth")
        .expect(1)
        .says(&["500", "try again later"]);
    assert_eq!(dead.requests().len(), 3);
}
