//! What a hub, and those that it redirects to, can do.

use super::hub::{COMMIT, Hub, Reply, told};
use super::{Run, listed, models, pth, sha256};
use crate::support::{folder, read};

const TOKEN: &str = "hf_made_up_token";

/// A hub that keeps its files at `storage`, as the real one does.
fn redirecting(storage: &str, content: &[u8]) -> Hub {
    let (storage, hash, length) = (storage.to_owned(), sha256(content), content.len().to_string());
    Hub::new(move |_| {
        Reply::status(302)
            .header("Location", format!("{storage}/blob?signature=secret"))
            .header("X-Repo-Commit", COMMIT)
            .header("X-Linked-Etag", format!("\"{hash}\""))
            .header("X-Linked-Size", &length)
    })
}

#[test]
fn the_token_stays_with_the_hub() {
    let folder = folder();
    let content = pth(5000);
    let blob = content.clone();
    let storage = Hub::new(move |request| {
        Reply::content(request, &blob).header("ETag", format!("\"{}\"", "0".repeat(64)))
    });
    let hub = redirecting(&storage.address, &content);
    let run = Run::new(&folder)
        .with("HF_ENDPOINT", &hub.address)
        .with("HF_TOKEN", TOKEN);
    let outcome = run.run("models pull o/r/a.pth -vv").expect(0);
    assert!(!outcome.stderr.contains(TOKEN));
    let bearer = format!("Bearer {TOKEN}");
    for request in hub.requests() {
        assert_eq!(request.header("authorization"), Some(bearer.as_str()));
    }
    // Storage is asked for the content only: what the file is, the hub itself has said.
    assert_eq!((storage.count("HEAD"), storage.count("GET")), (0, 1));
    for request in storage.requests() {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("cookie"), None);
    }
    assert_eq!(read(&folder, "cache/a/a.pth"), content);
    let record = String::from_utf8(read(&folder, "cache/a/model.json")).unwrap();
    assert!(!record.contains(TOKEN) && !record.contains("secret"));
}

#[test]
fn a_mirror_that_sends_to_the_hub_costs_no_check() {
    let folder = folder();
    let content = pth(5000);
    let wrong = pth(5000).into_iter().rev().collect::<Vec<_>>();
    let storage = Hub::new(move |request| Reply::content(request, &wrong));
    let hub = redirecting(&storage.address, &content);
    let real = hub.address.clone();
    let mirror =
        Hub::new(move |request| Reply::status(308).header("Location", format!("{real}{}", request.path)));
    Run::new(&folder)
        .with("HF_ENDPOINT", &mirror.address)
        .with("HF_TOKEN", TOKEN)
        .run("models pull o/r/a.pth")
        .expect(3)
        .says(&["expected the SHA-256", &sha256(&content)]);
    assert!(
        hub.requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn the_token_goes_along_where_the_hub_redirects_to_itself() {
    let folder = folder();
    let content = pth(50);
    let hub = Hub::new(move |request| match request.path.strip_prefix("/o/old/") {
        Some(rest) => Reply::status(307).header("Location", format!("/o/new/{rest}")),
        None => told(request, &content, None),
    });
    Run::new(&folder)
        .with("HF_ENDPOINT", &hub.address)
        .with("HF_TOKEN", TOKEN)
        .run("models pull o/old/a.pth")
        .expect(0);
    let requests = hub.requests();
    assert!(requests.iter().any(|request| request.path.starts_with("/o/new/")));
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_some())
    );
}

#[test]
fn wrong_content_is_deleted() {
    let folder = folder();
    let content = pth(5000);
    let mut wrong = content.clone();
    wrong[100] ^= 1;
    let (expected, found) = (sha256(&content), sha256(&wrong));
    let storage = Hub::new(move |request| Reply::content(request, &wrong));
    let hub = redirecting(&storage.address, &content);
    let outcome = Run::new(&folder)
        .with("HF_ENDPOINT", &hub.address)
        .run("models pull o/r/a.pth")
        .expect(3)
        .says(&["a.pth", &expected, &found, "deleted"]);
    assert!(!outcome.stderr.contains("secret"));
    assert_eq!(models(&folder), [""; 0]);
    assert_eq!(listed(&folder.path().join("cache/.work/a.pull")), [""; 0]);
}

#[test]
fn more_or_fewer_bytes_than_the_hub_said_are_refused() {
    let folder = folder();
    let content = pth(5000);
    for length in [4000, 6000] {
        let storage = Hub::new(move |request| Reply::content(request, &pth(length)));
        let hub = redirecting(&storage.address, &content);
        Run::new(&folder)
            .with("HF_ENDPOINT", &hub.address)
            .run("models pull o/r/a.pth")
            .expect(1)
            .says(&["expected 5004 bytes", &format!("sends {}", length + 4)]);
    }
    // A body that does not say where it ends.
    let endless = Hub::new(|request| match request.method.as_str() {
        "HEAD" => told(request, &pth(100), None),
        _ => Reply {
            status: 200,
            body: chunked(&pth(1_000_000)),
            ..Reply::default()
        }
        .header("Transfer-Encoding", "chunked"),
    });
    Run::new(&folder)
        .with("HF_ENDPOINT", &endless.address)
        .run("models pull o/r/a.pth")
        .expect(1)
        .says(&["more than the 104 bytes"]);
    let part = folder.path().join("cache/.work/a.pull/a.pth.part");
    assert!(part.metadata().map_or(0, |meta| meta.len()) <= 104);
}

fn chunked(content: &[u8]) -> Vec<u8> {
    let mut body = format!("{:x}\r\n", content.len()).into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    body
}

#[test]
fn redirects_that_lead_nowhere_end() {
    let folder = folder();
    let hub = Hub::new(|request| match request.path.contains("loop") {
        true => Reply::status(302).header("Location", "/loop"),
        false => Reply::status(302).header("Location", "ftp://elsewhere/"),
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/loop/a.pth")
        .expect(1)
        .says(&["more than 10 redirects"]);
    run.run("models pull o/r/a.pth")
        .expect(1)
        .says(&["redirects to an address that cannot be used"]);
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    let folder = folder();
    for reply in [
        Reply::status(200).header("Content-Length", "x"),
        Reply::status(204),
        Reply::status(302),
        Reply::status(999),
    ] {
        let hub = Hub::new(move |_| reply.clone());
        let outcome = Run::new(&folder)
            .with("HF_ENDPOINT", &hub.address)
            .run("models pull o/r/a.pth");
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&hub.address), "{}", outcome.stderr);
    }
    // Nothing but garbage.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"\0\x01 garbage\r\n\r\n");
        }
    });
    Run::new(&folder)
        .with("HF_ENDPOINT", &address)
        .run("models pull o/r/a.pth")
        .expect(1)
        .says(&[&address]);
}
