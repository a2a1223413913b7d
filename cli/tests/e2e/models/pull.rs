//! Models from a hub.

use super::hub::{COMMIT, Hub, Reply};
use super::{CONFIG, Run, listed, models, outcome, pth, sha256, weights};
use crate::support::{folder, read, write};

#[test]
fn a_known_model_comes_from_its_repository() {
    let folder = folder();
    let content = pth(5000);
    let hub = Hub::of_files(vec![("Wan2.1_VAE.pth", content.clone(), Some(sha256(&content)))]);
    let run = Run::new(&folder).with("HF_ENDPOINT", format!("{}/", hub.address));
    run.run("models pull wan2.1-vae")
        .expect(0)
        .prints(&["wan2.1-vae: wan-vae", "--model wan2.1-vae"]);
    assert_eq!(read(&folder, "cache/wan2.1-vae/Wan2.1_VAE.pth"), content);
    assert_eq!(
        listed(&folder.path().join("cache/wan2.1-vae")),
        ["Wan2.1_VAE.pth", "model.json"]
    );
    assert_eq!(listed(&folder.path().join("cache/.work")), ["wan2.1-vae.lock"]);
    let requests = hub.requests();
    assert_eq!(
        requests[0].path,
        "/Wan-AI/Wan2.1-T2V-1.3B/resolve/main/Wan2.1_VAE.pth"
    );
    // The content is that of the commit that the first answer named.
    assert_eq!(
        requests[1].path,
        format!("/Wan-AI/Wan2.1-T2V-1.3B/resolve/{COMMIT}/Wan2.1_VAE.pth")
    );
    run.run("models verify wan2.1-vae").expect(0);
    run.run("models list")
        .expect(0)
        .prints(&["Wan-AI/Wan2.1-T2V-1.3B@0123456789ab"]);

    // Again, it is there already, and nobody is asked.
    let again = run.run("models pull wan2.1-vae --json").expect(0).json();
    assert_eq!(again["unchanged"], true);
    assert_eq!(again["source"]["commit"], COMMIT);
    assert_eq!(hub.requests().len(), 2);
    run.run("models pull wan2.1-vae --revision v2")
        .expect(1)
        .says(&["wan2.1-vae", "-y"]);
    // Replaced, by what the cache of huggingface_hub has.
    run.run("models pull wan2.1-vae -y").expect(0);
    assert_eq!((hub.requests().len(), hub.count("GET")), (3, 1));
}

#[test]
fn a_model_of_several_files_comes_whole() {
    let folder = folder();
    let hub = Hub::of_files(vec![
        ("vae/config.json", CONFIG.to_vec(), None),
        (
            "vae/diffusion_pytorch_model.safetensors",
            weights(),
            Some(sha256(&weights())),
        ),
    ]);
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull wan2.1-vae-diffusers --name w").expect(0);
    assert_eq!(
        listed(&folder.path().join("cache/w")),
        ["config.json", "diffusion_pytorch_model.safetensors", "model.json"]
    );
    let path = folder.path().join("cache/w");
    run.run("models path w")
        .expect(0)
        .prints(&[path.to_str().unwrap()]);
    // All files are of one commit.
    assert!(hub.requests()[2].path.contains(COMMIT));
}

#[test]
fn the_list_of_a_repository_decides_where_no_file_is_named() {
    let folder = folder();
    let list = |names: &[&str]| {
        let siblings: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        serde_json::json!({ "sha": COMMIT, "siblings": siblings })
            .to_string()
            .into_bytes()
    };
    let one = list(&["README.md", "Some_VAE.pth"]);
    let two = list(&["a.safetensors", "b.safetensors"]);
    let content = pth(50);
    let hub = Hub::new(move |request| match request.path.as_str() {
        "/api/models/o/one/revision/refs%2Fpr%2F1" => Reply::content(request, &one),
        "/api/models/o/two/revision/main" => Reply::content(request, &two),
        path if path == format!("/o/one/resolve/{COMMIT}/Some_VAE.pth") => {
            super::hub::told(request, &content, None)
        }
        _ => Reply::status(404),
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/one --revision refs/pr/1").expect(0);
    assert_eq!(models(&folder), ["one"]);
    run.run("models pull o/two")
        .expect(3)
        .says(&["a.safetensors, b.safetensors", "o/two/FILE"]);
    run.run("models pull o/none")
        .expect(6)
        .says(&["/api/models/o/none", "404"]);
}

#[test]
fn what_is_not_there_is_named() {
    let folder = folder();
    let hub = Hub::new(|request| match request.path.contains("gated") {
        true => Reply::status(403).header("X-Error-Message", "Access to it is restricted"),
        false => Reply::status(404).header("X-Error-Code", "EntryNotFound"),
    });
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/r/a.pth").expect(6).says(&[
        &format!("{}/o/r/resolve/main/a.pth", hub.address),
        "404",
        "EntryNotFound",
        "--revision",
    ]);
    run.run("models pull o/gated/a.pth")
        .expect(6)
        .says(&["403", "restricted", "set HF_TOKEN"]);
    assert_eq!(models(&folder), [""; 0]);
}

#[test]
fn what_is_no_model_is_not_kept() {
    let folder = folder();
    let hub = Hub::of_files(vec![("notes.txt", b"hello, hello".to_vec(), None)]);
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/r/notes.txt")
        .expect(3)
        .says(&["no model", "notes.txt"]);
    assert_eq!(models(&folder), [""; 0]);
    assert_eq!(listed(&folder.path().join("cache/.work")), ["notes.lock"]);
}

#[test]
fn offline_only_the_cache_is_used() {
    let folder = folder();
    let content = pth(10);
    let hub = Hub::of_files(vec![("a.pth", content, None)]);
    let online = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    let offline = Run::new(&folder)
        .with("HF_ENDPOINT", &hub.address)
        .with("HF_HUB_OFFLINE", "1");
    offline
        .run("models pull o/r/a.pth")
        .expect(6)
        .says(&["a is not in", "HF_HUB_OFFLINE=1"]);
    online
        .run("models pull o/r/a.pth --offline")
        .expect(6)
        .says(&["--offline"]);
    assert_eq!(hub.requests().len(), 0);
    assert!(!folder.path().join("cache").exists());
    online.run("models pull o/r/a.pth").expect(0);
    let asked = hub.requests().len();
    offline.run("models pull o/r/a.pth").expect(0);
    online.run("models pull o/r/a.pth --offline").expect(0);
    offline.run("models pull o/r/a.pth -y").expect(0);
    assert_eq!(hub.requests().len(), asked);
    let elsewhere = folder.path().join("elsewhere");
    offline
        .with("HF_HOME", elsewhere.to_str().unwrap())
        .run("models pull o/r/a.pth -y")
        .expect(6)
        .says(&["huggingface_hub"]);
}

#[test]
fn what_another_program_fetched_is_there() {
    let folder = folder();
    let content = pth(5000);
    let hub = Hub::of_files(vec![
        ("vae/config.json", CONFIG.to_vec(), None),
        (
            "vae/diffusion_pytorch_model.safetensors",
            weights(),
            Some(sha256(&weights())),
        ),
        ("Wan2.1_VAE.pth", content.clone(), Some(sha256(&content))),
    ]);
    let run = |models: &str| {
        Run::new(&folder)
            .with("HF_ENDPOINT", &hub.address)
            .with("LATENTBIT_MODELS", folder.path().join(models).to_str().unwrap())
    };
    run("one").run("models pull wan2.1-vae").expect(0);
    run("one").run("models pull wan2.1-vae-diffusers").expect(0);
    let (asked, fetched) = (hub.requests().len(), hub.count("GET"));
    run("two").run("models pull wan2.1-vae --offline").expect(0);
    run("two")
        .run("models pull wan2.1-vae-diffusers --offline")
        .expect(0);
    assert_eq!(hub.requests().len(), asked);
    assert_eq!(read(&folder, "two/wan2.1-vae/Wan2.1_VAE.pth"), content);
    assert_eq!(
        listed(&folder.path().join("two/wan2.1-vae-diffusers")),
        ["config.json", "diffusion_pytorch_model.safetensors", "model.json"]
    );
    run("two").run("models verify").expect(0);
    // The hub is asked what is current, and nothing is fetched twice.
    run("three").run("models pull wan2.1-vae").expect(0);
    assert_eq!(hub.count("GET"), fetched);
    // A model outlives the cache that it came from.
    std::fs::remove_dir_all(folder.path().join("hf")).unwrap();
    run("two").run("models verify").expect(0);
    run("four").run("models pull wan2.1-vae --offline").expect(6);
}

#[test]
fn damage_in_the_shared_cache_is_mended() {
    let folder = folder();
    let content = pth(5000);
    let hub = Hub::of_files(vec![("a.pth", content.clone(), Some(sha256(&content)))]);
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/r/a.pth").expect(0);
    let mut damaged = content.clone();
    damaged[100] ^= 1;
    // Both are one file on the disk.
    std::fs::write(folder.path().join("cache/a/a.pth"), damaged).unwrap();
    run.run("models verify").expect(3);
    run.run("models pull o/r/a.pth -y")
        .expect(0)
        .says(&["expected the SHA-256"]);
    run.run("models verify").expect(0);
    run.run("models pull o/r/a.pth --offline --name b").expect(0);
    assert_eq!(read(&folder, "cache/b/a.pth"), content);
}

#[test]
fn a_shared_cache_that_cannot_be_written_is_told() {
    let folder = folder();
    let content = pth(500);
    let hub = Hub::of_files(vec![("a.pth", content, None)]);
    // A file stands where the folder would be, which stops root as well.
    write(&folder, "hf", b"");
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models pull o/r/a.pth")
        .expect(0)
        .says(&["a.pth: other programs do not find it", "hf"]);
    run.run("models verify").expect(0);
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let folder = folder();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("http://127.0.0.1:{port}");
    Run::new(&folder)
        .with("HF_ENDPOINT", &address)
        .run("models pull o/r/a.pth")
        .expect(1)
        .says(&[&address, "HF_ENDPOINT"]);
    for bad in ["hub", "ftp://hub", "https://me:secret@hub"] {
        let outcome = Run::new(&folder)
            .with("HF_ENDPOINT", bad)
            .run("models pull o/r/a.pth")
            .expect(2)
            .says(&["HF_ENDPOINT"]);
        assert!(!outcome.stderr.contains("secret"));
    }
}

#[test]
fn a_proxy_is_asked_instead_of_the_hub() {
    let folder = folder();
    let content = pth(10);
    let proxy = Hub::new(move |request| match request.method.as_str() {
        "CONNECT" => Reply::status(403),
        _ => super::hub::told(request, &content, None),
    });
    let outcome = Run::new(&folder)
        .with("HF_ENDPOINT", "https://hub.invalid")
        .with("HTTPS_PROXY", &proxy.address)
        .run("models pull o/r/a.pth");
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let first = &proxy.requests()[0];
    assert_eq!(
        (first.method.as_str(), first.path.as_str()),
        ("CONNECT", "hub.invalid:443")
    );
}

#[test]
fn processes_that_pull_at_once_fetch_once() {
    let folder = folder();
    let content = pth(200_000);
    let hub = Hub::of_files(vec![("a.pth", content.clone(), Some(sha256(&content)))]);
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    let children: Vec<_> = (0..4)
        .map(|_| run.command(&["models", "pull", "o/r/a.pth"]).spawn().unwrap())
        .collect();
    for child in children {
        outcome(child.wait_with_output().unwrap()).expect(0);
    }
    assert_eq!(hub.count("GET"), 1);
    run.run("models verify").expect(0);
}

#[test]
fn a_pull_leaves_other_models_alone() {
    let folder = folder();
    write(&folder, "a.pth", &pth(10));
    let content = pth(20);
    let hub = Hub::of_files(vec![("a.pth", content, None)]);
    let run = Run::new(&folder).with("HF_ENDPOINT", &hub.address);
    run.run("models add a.pth").expect(0);
    run.run("models pull o/r/a.pth")
        .expect(1)
        .says(&["a: there is a model of this name already", "--name"]);
    assert_eq!(hub.requests().len(), 0);
    assert_eq!(read(&folder, "cache/a/a.pth"), pth(10));
    run.run("models pull o/r/a.pth --name b -q").expect(0);
    assert_eq!(models(&folder), ["a", "b"]);
}
