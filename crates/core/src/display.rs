/// Shows a module on one line, as burn shows its losses: its name and the given fields.
///
/// | Form | Shows |
/// | --- | --- |
/// | `field` | a number, a flag, a text or a module |
/// | `?field` | the `Debug` form of anything else, such as an enum |
/// | `name = \|this\| value` | the value in an `Option<&_>`; nothing if it is `None` |
///
/// In the last form, the value is computed from `this`, the module.
///
/// The module needs the attribute `#[module(custom_display)]`. For a module around another one:
/// `one_line_display!(Chunked<L>: loss, ?chunk_rows)`.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::nn::Linear;
/// use burn_distill_core::one_line_display;
///
/// #[derive(Clone, Copy, Debug)]
/// enum Distance {
///     Squared,
/// }
///
/// #[derive(Module, Debug)]
/// #[module(custom_display)]
/// struct Margin {
///     size: f64,
///     layer: Option<Linear>,
///     #[module(skip)]
///     distance: Distance,
/// }
///
/// one_line_display!(Margin: size, ?distance, double = |margin| Some(&(2.0 * margin.size)),
///     layer = |margin| margin.layer.as_ref());
///
/// let margin = Margin { size: 1.0, layer: None, distance: Distance::Squared };
/// assert_eq!(format!("{margin}"), "Margin {size: 1, distance: Squared, double: 2}");
/// ```
#[macro_export]
macro_rules! one_line_display {
    ($module:ident $(<$inner:ident>)? $(: $($fields:tt)*)?) => {
        impl $(<$inner: burn::module::Module + burn::module::ModuleDisplay>)?
            burn::module::ModuleDisplay for $module $(<$inner>)?
        {
            fn custom_settings(&self) -> Option<burn::module::DisplaySettings> {
                burn::module::DisplaySettings::new()
                    .with_new_line_after_attribute(false)
                    .optional()
            }

            fn custom_content(
                &self,
                content: burn::module::Content,
            ) -> Option<burn::module::Content> {
                $crate::one_line_display!(@add self, content, $($($fields)*)?).optional()
            }
        }
    };
    (@add $module:ident, $content:expr,) => {
        $content
    };
    (@add $module:ident, $content:expr, ?$field:ident $(, $($rest:tt)*)?) => {
        $crate::one_line_display!(
            @add $module,
            $content.add_debug_attribute(stringify!($field), &$module.$field),
            $($($rest)*)?
        )
    };
    (
        @add $module:ident, $content:expr,
        $name:ident = |$this:ident| $value:expr $(, $($rest:tt)*)?
    ) => {
        $crate::one_line_display!(
            @add $module,
            {
                let ($this, content) = ($module, $content);
                match $value {
                    Some(value) => content.add(stringify!($name), value),
                    None => content,
                }
            },
            $($($rest)*)?
        )
    };
    (@add $module:ident, $content:expr, $field:ident $(, $($rest:tt)*)?) => {
        $crate::one_line_display!(
            @add $module,
            $content.add(stringify!($field), &$module.$field),
            $($($rest)*)?
        )
    };
}

/// Shows an error by its message wherever its `Debug` form is printed: by a `main` that returns it,
/// by `unwrap` and by `expect`.
///
/// # Example
///
/// ```
/// use burn_distill_core::debug_as_display;
///
/// #[derive(thiserror::Error)]
/// #[error("the file `{0}` is empty: write a recipe into it")]
/// struct EmptyFile(String);
///
/// debug_as_display!(EmptyFile);
///
/// let error = EmptyFile("a.toml".into());
/// assert_eq!(format!("{error:?}"), "the file `a.toml` is empty: write a recipe into it");
/// ```
#[macro_export]
macro_rules! debug_as_display {
    ($($error:ident),+) => {
        $(impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        })+
    };
}
