//! The book builds without warnings, and its pages link to pages and headings that exist.

mod common;

use common::{Warnings, attributes, files, root};
use mdbook_driver::MDBook;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, iter};

/// Every page of the book as HTML, by its path within `folder`.
fn pages(folder: &Path) -> BTreeMap<PathBuf, String> {
    let paths = files(folder, "html").into_iter();
    let pages = paths.map(|path| {
        let html = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(folder).unwrap().to_path_buf(), html)
    });
    pages.collect()
}

/// Joins a link with the folder of its page, without `.` and `..`.
fn join(page: &Path, link: &str) -> PathBuf {
    let mut joined = page.parent().unwrap().to_path_buf();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => assert!(joined.pop(), "{}: {link} leaves the book", page.display()),
            part => joined.push(part),
        }
    }
    joined
}

#[test]
fn the_book_builds_without_warnings_and_its_links_resolve() {
    let built = tempfile::tempdir().unwrap();
    let warnings = Warnings::collect(|| {
        let mut book = MDBook::load(root().join("docs")).unwrap();
        book.config.build.build_dir = built.path().to_path_buf();
        book.build().unwrap();
    });
    assert!(warnings.is_empty(), "{warnings:#?}");

    let pages = pages(built.path());
    assert!(pages.len() > 90, "only {} pages", pages.len());
    let ids: BTreeMap<&PathBuf, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, html)| (path, attributes(html, "id").collect()))
        .collect();
    let mut broken = Vec::new();
    let mut anchors = 0;
    for (page, html) in &pages {
        // Its links are relative to other pages, and it repeats what is checked there.
        if page == Path::new("print.html") || page == Path::new("404.html") {
            continue;
        }
        for link in attributes(html, "href").chain(attributes(html, "src")) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => join(page, file),
            };
            anchors += usize::from(!anchor.is_empty());
            let resolves = match ids.get(&target) {
                Some(ids) => anchor.is_empty() || ids.contains(anchor),
                None => anchor.is_empty() && built.path().join(&target).is_file(),
            };
            if !resolves {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(anchors > 20, "only {anchors} links to headings");
}

#[test]
fn a_warning_of_the_build_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let page = |name: &str, text: &str| fs::write(folder.path().join("src").join(name), text);
    page("SUMMARY.md", "- [One](one.md)\n").unwrap();
    page("one.md", "# One\n\n</div>\n").unwrap();

    let warnings = Warnings::collect(|| MDBook::load(folder.path()).unwrap().build().unwrap());
    assert!(!warnings.is_empty());
}

#[test]
fn every_page_opens_with_a_title_and_a_sentence() {
    let source = root().join("docs/src");
    for path in files(&source, "md") {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let [title, "", opening, ..] = lines.as_slice() else {
            panic!("{}: expected a title and a sentence", path.display());
        };
        assert!(title.starts_with("# "), "{}: {title}", path.display());
        let is_sentence = opening.starts_with(|first: char| first.is_uppercase());
        let is_list = path == source.join("SUMMARY.md");
        assert!(is_sentence || is_list, "{}: {opening}", path.display());
    }
}

#[test]
fn every_page_of_a_method_says_when_to_use_it() {
    let source = root().join("docs/src");
    for kind in ["response", "feature", "relation", "strategy"] {
        for path in files(&source.join(kind), "md") {
            let text = fs::read_to_string(&path).unwrap();
            let sections = text.lines().filter(|line| line.starts_with("## "));
            let sections: Vec<_> = iter::once("").chain(sections).collect();
            for section in ["## When to use it", "## Traps"] {
                let found = sections.contains(&section);
                assert!(found, "{}: no section `{section}`", path.display());
            }
        }
    }
}
