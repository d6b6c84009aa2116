//! Circular dependencies between the files of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Path of a module from the root of its crate.
type Module = Vec<String>;

/// Names that are already looked up, each in a module.
type Seen = BTreeSet<(Module, Vec<String>)>;

/// Files that depend on each other in a circle, and the uses between them.
pub struct Circle {
    /// Paths of the files, relative to the folder of the sources.
    pub files: Vec<String>,
    /// Uses between them: `a uses B of b`.
    pub uses: Vec<String>,
}

/// Module, as its file defines it.
#[derive(Default)]
struct File {
    /// Names that the file defines itself.
    defined: BTreeSet<String>,
    /// Names that the file imports, with their paths.
    imported: BTreeMap<String, Vec<String>>,
    /// Paths from which every name is imported.
    globs: Vec<Vec<String>>,
    /// Paths that the code of the file uses, except names that it only reexports.
    used: BTreeSet<Vec<String>>,
}

/// Returns the circles of files in the sources of a crate.
pub fn circles(sources: &Path) -> Vec<Circle> {
    let files = read(sources);
    let mut edges: BTreeMap<&Module, BTreeMap<&Module, String>> = BTreeMap::new();
    for (module, file) in &files {
        for path in &file.used {
            for target in resolve(&files, module, path, &mut BTreeSet::new()) {
                if target != module {
                    let uses = edges.entry(module).or_default();
                    uses.entry(target).or_insert_with(|| path.join("::"));
                }
            }
        }
    }
    let mut circles = Vec::new();
    for component in components(&files, &edges) {
        let name = |module: &Module| match module.is_empty() {
            true => "lib".to_string(),
            false => module.join("/"),
        };
        let mut shown = Vec::new();
        for from in &component {
            for (to, path) in edges.get(from).into_iter().flatten() {
                if component.contains(to) {
                    let path = path.rsplit("super::").next().unwrap_or_default();
                    let path = path.trim_start_matches("crate::");
                    shown.push(format!("{} uses {path} of {}", name(from), name(to)));
                }
            }
        }
        circles.push(Circle {
            files: component.iter().map(|module| name(module)).collect(),
            uses: shown,
        });
    }
    circles
}

fn read(sources: &Path) -> BTreeMap<Module, File> {
    let mut files = BTreeMap::new();
    for path in rust_files(sources) {
        let relative = path.strip_prefix(sources).unwrap().with_extension("");
        let mut module: Module = relative
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let last = module.last().cloned().unwrap_or_default();
        if module.contains(&"tests".to_string()) {
            continue;
        }
        if last == "mod" || (module.len() == 1 && (last == "lib" || last == "main")) {
            module.pop();
        }
        let text = fs::read_to_string(&path).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut file = File::default();
        file.items(&parsed.items);
        files.insert(module, file);
    }
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => found.extend(rust_files(&path)),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
    found
}

impl File {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            match item {
                Item::Use(item) => {
                    let public = !matches!(item.vis, Visibility::Inherited);
                    self.import(&item.tree, &mut Vec::new(), public);
                    continue;
                }
                Item::Mod(item) => {
                    if let Some((_, items)) = &item.content {
                        self.items(items);
                    }
                    continue;
                }
                Item::Struct(item) => self.define(&item.ident),
                Item::Enum(item) => self.define(&item.ident),
                Item::Trait(item) => self.define(&item.ident),
                Item::Fn(item) => self.define(&item.sig.ident),
                Item::Const(item) => self.define(&item.ident),
                Item::Static(item) => self.define(&item.ident),
                Item::Type(item) => self.define(&item.ident),
                Item::Macro(item) => item.ident.iter().for_each(|name| self.define(name)),
                _ => {}
            }
            Paths(self).visit_item(item);
        }
    }

    fn define(&mut self, name: &syn::Ident) {
        self.defined.insert(name.to_string());
    }

    fn import(&mut self, tree: &UseTree, path: &mut Vec<String>, public: bool) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(&tree.tree, path, public);
                path.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path, public);
                }
            }
            UseTree::Glob(_) => {
                if !public {
                    self.used.insert(path.clone());
                }
                self.globs.push(path.clone());
            }
            UseTree::Name(name) => {
                self.name(name.ident.to_string(), name.ident.to_string(), path, public)
            }
            UseTree::Rename(name) => self.name(
                name.ident.to_string(),
                name.rename.to_string(),
                path,
                public,
            ),
        }
    }

    fn name(&mut self, name: String, known_as: String, path: &[String], public: bool) {
        let mut path = path.to_vec();
        if name != "self" {
            path.push(name);
        }
        let known_as = match known_as.as_str() {
            "self" => path.last().cloned().unwrap_or_default(),
            _ => known_as,
        };
        if !public {
            self.used.insert(path.clone());
        }
        self.imported.insert(known_as, path);
    }
}

/// Collects the paths in the code of a file.
struct Paths<'a>(&'a mut File);

impl Visit<'_> for Paths<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        // A single name is defined here or imported; an import is used anyway, unless it is public.
        let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.0.used.insert(segments);
        visit::visit_path(self, path);
    }

    // A path in a visibility is not a dependency.
    fn visit_vis_restricted(&mut self, _: &syn::VisRestricted) {}

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.0.import(&item.tree, &mut Vec::new(), false);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Use(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

/// Returns the files that a path in a module leads to: several if a glob could import it from each.
fn resolve<'a>(
    files: &'a BTreeMap<Module, File>,
    module: &[String],
    path: &[String],
    seen: &mut Seen,
) -> Vec<&'a Module> {
    let Some((first, rest)) = path.split_first() else {
        return files
            .get_key_value(module)
            .map(|(module, _)| module)
            .into_iter()
            .collect();
    };
    match first.as_str() {
        "crate" => descend(files, &[], rest, seen),
        "self" => descend(files, module, rest, seen),
        "super" => match module.split_last() {
            Some((_, parent)) => match rest.first().map(String::as_str) {
                Some("super") => resolve(files, parent, rest, seen),
                _ => descend(files, parent, rest, seen),
            },
            None => Vec::new(),
        },
        _ => descend(files, module, path, seen),
    }
}

/// Returns the files that define the item with these names in a module.
fn descend<'a>(
    files: &'a BTreeMap<Module, File>,
    module: &[String],
    path: &[String],
    seen: &mut Seen,
) -> Vec<&'a Module> {
    let Some((key, file)) = files.get_key_value(module) else {
        return Vec::new();
    };
    let Some((first, rest)) = path.split_first() else {
        return vec![key];
    };
    let mut child = module.to_vec();
    child.push(first.clone());
    if files.contains_key(&child) {
        return descend(files, &child, rest, seen);
    }
    if file.defined.contains(first) {
        return vec![key];
    }
    if !seen.insert((module.to_vec(), path.to_vec())) {
        return Vec::new();
    }
    if let Some(path) = file.imported.get(first) {
        if path.first() == Some(first) && path.len() == 1 {
            return Vec::new();
        }
        return resolve(files, module, path, seen);
    }
    let mut found = Vec::new();
    for glob in &file.globs {
        if !is_of_crate(files, module, glob) {
            continue;
        }
        // A name that a glob imports is defined there or reexported by name.
        for target in resolve(files, module, glob, seen) {
            let brings =
                files[target].defined.contains(first) || files[target].imported.contains_key(first);
            if target.as_slice() != module && brings {
                found.extend(descend(files, target, path, seen));
            }
        }
    }
    found
}

/// Returns whether a path, as written, leads to a module of the crate and not to another crate.
fn is_of_crate(files: &BTreeMap<Module, File>, module: &[String], path: &[String]) -> bool {
    let Some(first) = path.first() else {
        return false;
    };
    let mut child = module.to_vec();
    child.push(first.clone());
    ["crate", "self", "super"].contains(&first.as_str()) || files.contains_key(&child)
}

/// Returns the sets of modules that reach each other.
fn components<'a>(
    files: &'a BTreeMap<Module, File>,
    edges: &BTreeMap<&'a Module, BTreeMap<&'a Module, String>>,
) -> Vec<BTreeSet<&'a Module>> {
    let reach = |from: &'a Module| {
        let mut seen: BTreeSet<&'a Module> = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            for target in edges.get(module).into_iter().flat_map(|uses| uses.keys()) {
                if seen.insert(*target) {
                    open.push(*target);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = files.keys().map(|module| (module, reach(module))).collect();
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for module in files.keys() {
        if done.contains(module) || !reached[module].contains(module) {
            continue;
        }
        let component: BTreeSet<_> = reached[module]
            .iter()
            .copied()
            .filter(|other| reached[*other].contains(module))
            .collect();
        done.extend(component.iter().copied());
        found.push(component);
    }
    found
}
