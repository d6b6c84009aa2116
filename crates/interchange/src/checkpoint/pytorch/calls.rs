//! Functions that a pickle must not name.

use super::super::error::Fault;

/// Modules whose functions run code, start programs, or reach files and the network.
const MODULES: &[&str] = &[
    "_ctypes",
    "_io",
    "_pickle",
    "_posixsubprocess",
    "_socket",
    "_thread",
    "aiohttp",
    "asyncio",
    "bdb",
    "cPickle",
    "cProfile",
    "cloudpickle",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "dill",
    "distutils",
    "doctest",
    "ftplib",
    "http",
    "httplib",
    "idlelib",
    "imp",
    "importlib",
    "inspect",
    "io",
    "ipykernel",
    "IPython",
    "joblib",
    "linecache",
    "marshal",
    "multiprocessing",
    "nt",
    "ntpath",
    "operator",
    "_operator",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "popen2",
    "posix",
    "posixpath",
    "profile",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "setuptools",
    "shelve",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "sys",
    "telnetlib",
    "tempfile",
    "threading",
    "timeit",
    "trace",
    "types",
    "urllib",
    "urllib2",
    "venv",
    "webbrowser",
    "zipimport",
];

/// Modules of packages that are read otherwise.
const SUBMODULES: &[&str] = &[
    "numpy.distutils",
    "numpy.f2py",
    "numpy.testing",
    "torch.distributed",
    "torch.hub",
    "torch.jit",
    "torch.package",
    "torch.serialization",
    "torch.utils.cpp_extension",
    "torch.utils.model_zoo",
    "torch._dynamo",
    "torch._inductor",
];

/// Functions of Python itself that only make values.
const VALUES: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];

/// Parts of names with dots through which other modules are reached.
const PARTS: &[&str] = &[
    "__builtins__",
    "__class__",
    "__dict__",
    "__globals__",
    "__import__",
    "__init__",
    "__reduce__",
    "__reduce_ex__",
    "__subclasses__",
    "builtins",
    "eval",
    "exec",
    "os",
    "posix",
    "subprocess",
    "sys",
    "system",
    "popen",
];

/// Refuses the name of a function that runs code.
pub(super) fn check(module: &str, name: &str) -> Result<(), Fault> {
    if !runs_code(module, name) {
        return Ok(());
    }
    Err(Fault::refused(format!(
        "its pickle calls `{}.{}`, which runs code when Python loads the file (nothing of it was \
         run here): do not load it in Python, and take the weights from a source that you trust, \
         best as .safetensors",
        module.escape_debug(),
        name.escape_debug()
    )))
}

fn runs_code(module: &str, name: &str) -> bool {
    let root = module.split('.').next().unwrap_or_default();
    let is_in = |parent: &&str| {
        let rest = module.strip_prefix(*parent);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    match root {
        "builtins" | "__builtin__" | "__builtins__" => !VALUES.contains(&name),
        "_codecs" | "codecs" => name != "encode",
        "functools" => name != "partial",
        "torch" if module == "torch" && matches!(name, "load" | "save" | "compile") => true,
        _ => {
            MODULES.contains(&root)
                || SUBMODULES.iter().any(is_in)
                || (name.contains('.') && name.split('.').any(|part| PARTS.contains(&part)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_run_code_are_refused_with_their_names() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("builtins", "eval"),
            ("__builtin__", "exec"),
            ("builtins", "getattr"),
            ("subprocess", "Popen"),
            ("torch", "load"),
            ("torch.hub", "load_state_dict_from_url"),
            ("numpy.testing._private.utils", "runstring"),
            ("functools", "reduce"),
            ("operator", "attrgetter"),
            ("torch", "serialization.os.system"),
            ("collections", "OrderedDict.__init__"),
            ("os.path", "join"),
        ] {
            let Err(Fault::Refused(message)) = check(module, name) else {
                panic!("{module}.{name}");
            };
            assert!(
                message.contains(&format!("calls `{module}.{name}`")),
                "{message}"
            );
        }
    }

    #[test]
    fn classes_of_weights_and_of_networks_are_not() {
        for (module, name) in [
            ("collections", "OrderedDict"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch", "FloatStorage"),
            ("torch.nn.modules.conv", "Conv2d"),
            ("torchvision.models.resnet", "ResNet"),
            ("timm.models.vision_transformer", "VisionTransformer"),
            ("functools", "partial"),
            ("argparse", "Namespace"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
            ("builtins", "set"),
            ("__main__", "Net.Block"),
            ("oslo", "Net"),
        ] {
            assert!(check(module, name).is_ok(), "{module}.{name}");
        }
    }
}
