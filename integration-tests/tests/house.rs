//! The rules of the house: who may know whom, how large a room may be, and that notes, code and tests agree.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Lines of a file at most; a file that must be larger is named here with its reason.
const FILE_CEILING: usize = 500;
const LARGE_FILES: &[(&str, &str)] = &[];

/// Which crates of the house a crate may use. Lower never knows higher, none knows its neighbour.
const EDGES: &[(&str, &[&str])] = &[
    ("restante-types", &[]),
    ("restante-smtp", &["types"]),
    ("restante-queue", &["types"]),
    ("restante-api", &["types"]),
    ("restante-net", &["types", "smtp"]),
    ("restante-turn", &["types", "smtp", "queue"]),
    ("restante-senders", &["types"]),
    ("restante-server", &["types", "smtp", "queue", "net", "turn", "senders"]),
    ("restante-delivery", &["types", "smtp", "queue", "net"]),
    ("restante-admin", &["types", "smtp", "queue", "turn", "api"]),
    ("restante-agent", &["types", "smtp", "net"]),
    (
        "restante",
        &["types", "smtp", "queue", "turn", "net", "senders", "server", "delivery", "api", "admin", "agent"],
    ),
    ("restante-integration-tests", &[]),
];

/// Crates that must not be able to reach a socket, a file or an executor.
const WITHOUT_IO: &[(&str, &[&str])] = &[
    ("restante-types", &["tokio", "mio", "socket2", "nix"]),
    ("restante-smtp", &["tokio", "mio", "socket2", "nix"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package name → names of its normal dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap();
            let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn lower_never_knows_higher() {
    let found = dependencies();
    let expected: BTreeMap<_, _> = EDGES.iter().copied().collect();
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        expected.keys().copied().collect::<Vec<_>>()
    );
    for (package, dependencies) in &found {
        for dependency in dependencies.iter().filter_map(|name| name.strip_prefix("restante-")) {
            let allowed = expected[package.as_str()].contains(&dependency);
            assert!(allowed, "{package} must not know restante-{dependency}");
        }
    }
    for (package, forbidden) in WITHOUT_IO {
        for name in *forbidden {
            assert!(!found[*package].contains(*name), "{package} must not depend on {name}");
        }
    }
}

fn files(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != "restante-data" && !name.to_string_lossy().starts_with('.') {
                files(&path, ending, found);
            }
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

#[test]
fn no_room_is_crowded() {
    let mut sources = Vec::new();
    files(&root(), "rs", &mut sources);
    assert!(sources.len() > 50, "only {} source files found", sources.len());
    let mut crowded = Vec::new();
    for path in sources {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        if lines > FILE_CEILING && !LARGE_FILES.iter().any(|(large, _)| *large == name) {
            crowded.push(format!("{name}: {lines} lines"));
        }
    }
    assert!(crowded.is_empty(), "over {FILE_CEILING} lines: {crowded:#?}");
}

/// A row of a note: `| id | clause | code | test |`.
struct Clause {
    note: String,
    id: String,
    code: Vec<String>,
    tests: Vec<String>,
}

fn clauses() -> Vec<Clause> {
    let mut notes = Vec::new();
    files(&root().join("rfc-notes"), "md", &mut notes);
    let mut found = Vec::new();
    for path in notes {
        let note = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let cells: Vec<_> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
            let Some(id) = cells.first().and_then(|cell| cell.strip_prefix('[')?.strip_suffix(']')) else {
                continue;
            };
            assert_eq!(cells.len(), 4, "{note}: a row is | [id] | clause | code | test |: {line}");
            let places = |cell: &str| {
                let places = cell.split(',').map(|place| place.trim().trim_matches('`').to_owned());
                places.filter(|place| !place.is_empty() && place != "–" && place != "-").collect::<Vec<_>>()
            };
            let (code, tests) = (places(cells[2]), places(cells[3]));
            assert!(!code.is_empty() && !tests.is_empty(), "{note}: [{id}] names no code or no test");
            found.push(Clause { note: note.clone(), id: format!("[{id}]"), code, tests });
        }
    }
    found
}

#[test]
fn notes_code_and_tests_agree() {
    let clauses = clauses();
    assert!(clauses.len() > 60, "only {} clauses found", clauses.len());
    let mut wrong = Vec::new();
    for clause in &clauses {
        for place in clause.code.iter().chain(&clause.tests) {
            let (file, test) =
                place.split_once("::").map_or((place.as_str(), None), |(file, test)| (file, Some(test)));
            let Ok(text) = std::fs::read_to_string(root().join(file)) else {
                wrong.push(format!("{}: {} points at {file}, which is not there", clause.note, clause.id));
                continue;
            };
            if !text.contains(&clause.id) {
                wrong.push(format!("{}: {} does not stand in {file}", clause.note, clause.id));
            }
            if test.is_some_and(|name| !text.contains(&format!("fn {name}("))) {
                wrong.push(format!("{}: {} names {place}, which is not there", clause.note, clause.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong: {wrong:#?}", wrong.len(), clauses.len());
}

#[test]
fn every_clause_in_the_code_has_its_note() {
    let known: BTreeSet<_> = clauses().into_iter().map(|clause| clause.id).collect();
    let mut sources = Vec::new();
    for dir in ["crates", "integration-tests"] {
        for ending in ["rs", "txt"] {
            files(&root().join(dir), ending, &mut sources);
        }
    }
    let mut unknown = BTreeSet::new();
    for path in sources {
        for part in std::fs::read_to_string(&path).unwrap_or_default().split('[').skip(1) {
            let Some((id, _)) = part.split_once(']') else { continue };
            let rfc = id.split('-').next().unwrap_or_default();
            let is_id = id.len() > rfc.len() + 1
                && (rfc == "smuggling"
                    || (rfc.len() >= 3 && rfc.len() <= 4 && rfc.bytes().all(|b| b.is_ascii_digit())))
                && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
            if is_id && !known.contains(&format!("[{id}]")) {
                unknown.insert(format!("[{id}] in {}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(unknown.is_empty(), "clauses without a note: {unknown:#?}");
}

#[test]
fn the_documents_name_what_is_there() {
    let architecture = std::fs::read_to_string(root().join("crates/README.md")).unwrap();
    for entry in std::fs::read_dir(root().join("crates")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(architecture.contains(&format!("`{name}`")), "crates/README.md does not name {name}");
        }
    }
    // Paths written in backquotes exist.
    for document in ["README.md", "crates/README.md"] {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = word.contains('/')
                && !word.contains([' ', ':', '*', '<', '{', '$', '~', '\n'])
                && !word.starts_with(['/', '.']);
            if is_path
                && ["crates/", "etc/", "integration-tests/", "rfc-notes/"]
                    .iter()
                    .any(|top| word.starts_with(top))
            {
                assert!(root().join(word).exists(), "{document} names {word}, which is not there");
            }
        }
    }
}
