//! Crates depend in one direction: the shells on the core, the tests on all, nothing on the shells.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;

/// For each crate's folder, the folders it may depend on, in any way.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("kv-core", &[]),
    ("kv-native", &["kv-core"]),
    ("kv-wasm", &["kv-core"]),
    ("tests", &["kv-core", "kv-native", "kv-wasm"]),
    ("xtask", &[]),
];

/// Compares `cargo metadata` with the table.
pub(super) fn check(metadata: &Value) -> Result<Vec<Finding>> {
    let packages = metadata["packages"].as_array().context("no packages in cargo's metadata")?;
    let mut findings = Vec::new();
    for package in packages {
        let folder = package["manifest_path"]
            .as_str()
            .and_then(|path| path.trim_end_matches("/Cargo.toml").rsplit('/').next());
        let folder = folder.context("a package without a manifest in cargo's metadata")?;
        let mut find = |text: String| {
            let file = format!("{folder}/Cargo.toml");
            findings.push(Finding { file, line: 1, rule: "crate direction", text });
        };
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == folder) else {
            find("this crate is not in the table of xtask/src/tidy/crates.rs; add it".into());
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Only the workspace's own crates are found by a path.
            let Some(path) = dependency["path"].as_str() else {
                continue;
            };
            let used = path.rsplit('/').next().unwrap_or(path);
            if !allowed.contains(&used) {
                find(format!(
                    "{folder} must not depend on {used}; the direction is kv-native → kv-core, \
                     kv-wasm → kv-core, tests → all"
                ));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(folder: &str, used: &str) -> Value {
        json!({ "packages": [{
            "manifest_path": format!("/x/{folder}/Cargo.toml"),
            "dependencies": [{ "path": format!("/x/{used}") }, { "path": null }],
        }] })
    }

    #[test]
    fn the_shells_may_use_the_core_and_not_the_other_way() {
        assert_eq!(check(&workspace("kv-native", "kv-core")).unwrap(), []);
        let findings = check(&workspace("kv-core", "kv-native")).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.contains("kv-core must not depend on kv-native"));
    }

    #[test]
    fn an_unknown_crate_must_be_entered() {
        assert!(check(&workspace("kv-new", "kv-core")).unwrap()[0].text.contains("add it"));
    }
}
