//! `plimsoll check` and `plimsoll schema`, through the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const GOOD: &str = "routes: [{ path: /*, respond: { body: hello } }]\n";
const BAD: &str = "routes: [{ pth: /*, respond: { body: hello } }]\ngrace: 1\n";

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(arguments).current_dir(&self.0).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_good_file_is_counted_on_stdout() {
    let folder = Folder::new("good");
    folder.write("a.yaml", GOOD);
    let output = folder.run(&["check", "-c", "a.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "a.yaml: ok: 1 listener, 1 route, 0 backends\n");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_bad_file_ends_with_2_and_all_its_problems_on_stderr() {
    let folder = Folder::new("bad");
    folder.write("a.yaml", BAD);
    let output = folder.run(&["check", "-c", "a.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    assert!(errors.contains(" --> a.yaml:1:12") && errors.contains("did you mean `path`?"), "{errors}");
    assert!(errors.contains(" --> a.yaml:2:8") && errors.ends_with("a.yaml: 2 errors to mend\n"), "{errors}");
    assert!(!errors.contains('\x1b'), "no colour where nobody sees it");
}

#[test]
fn what_run_would_refuse_is_named_with_its_line() {
    let folder = Folder::new("later");
    folder.write("a.yaml", "routes: [{ path: /*, servers: [{ url: https://a.test }] }]\n");
    let output = folder.run(&["check", "-c", "a.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stdout);
    assert!(
        said.contains("`run` would refuse 1 key:\n  a.yaml:1:39: `routes[0].servers[0].url`: "),
        "{said}"
    );
}

#[test]
fn json_has_the_same_for_machines() {
    let folder = Folder::new("json");
    folder.write("good.yaml", GOOD);
    folder.write("bad.yaml", BAD);
    let good: Value =
        serde_json::from_slice(&folder.run(&["check", "--json", "-c", "good.yaml"]).stdout).unwrap();
    assert_eq!((&good["ok"], &good["routes"]), (&Value::Bool(true), &1.into()));
    let output = folder.run(&["check", "--json", "-c", "bad.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let bad: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(bad["ok"], false);
    assert_eq!((&bad["problems"][0]["line"], &bad["problems"][0]["column"]), (&1.into(), &12.into()));
    assert_eq!(bad["problems"][1]["help"], "did you mean `1s` or `1ms`?");
}

#[test]
fn files_are_searched_in_their_order() {
    let folder = Folder::new("search");
    folder.write("config/plimsoll.yaml", GOOD);
    assert!(text(&folder.run(&["check"]).stdout).starts_with("./config/plimsoll.yaml: ok"));
    folder.write("plimsoll.yaml", GOOD);
    assert!(text(&folder.run(&["check"]).stdout).starts_with("./plimsoll.yaml: ok"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = Folder::new("unreadable");
    folder.write("latin1.yaml", b"grace: 1s\n# caf\xe9\n");
    folder.write("large.yaml", vec![b'#'; (4 << 20) + 1]);
    for (file, reason) in [
        ("missing.yaml", "cannot read missing.yaml: No such file"),
        (".", "cannot read .: Is a directory"),
        ("latin1.yaml", "latin1.yaml is not UTF-8, from line 2 on"),
        ("large.yaml", "large.yaml is larger than 4 MiB"),
    ] {
        let output = folder.run(&["check", "-c", file]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
}

#[test]
fn the_environment_is_filled_in() {
    let folder = Folder::new("environment");
    folder.write("a.yaml", "grace: ${PLIMSOLL_TEST_GRACE}\nroutes: [{ respond: {} }]\n");
    assert_eq!(folder.run(&["check", "-c", "a.yaml"]).status.code(), Some(2));
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["check", "-c", "a.yaml"]).env("PLIMSOLL_TEST_GRACE", "5s").current_dir(&folder.0);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[test]
fn the_schema_is_json() {
    let output = Folder::new("schema").run(&["schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["title"], "plimsoll.yaml");
    assert!(schema["properties"]["routes"].is_object());
}
