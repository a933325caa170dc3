//! Stamps the crate with a hash of its own sources, so that a recording or a share link can say
//! which core produced it. No version control is needed for that: the same sources give the same stamp.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest folder"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files.sort();
    let mut all = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).expect("collected below the root");
        all.extend_from_slice(name.to_string_lossy().replace('\\', "/").as_bytes());
        all.extend_from_slice(&fs::read(file).expect("a source file can be read"));
    }
    println!("cargo::rustc-env=KV_CORE_BUILD={:016x}", seahash::hash(&all));
    println!("cargo::rerun-if-changed=src");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source folder can be listed") {
        let path = entry.expect("a folder entry can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
