/// Show a module on one line, as burn shows its losses: its name and these of its fields.
///
/// A `?` before a field shows its `Debug` form, for what is no module, such as an enum. The module
/// is one of `#[module(custom_display)]`.
///
/// # Example
///
/// ```
/// use burn::module::Module;
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
///     #[module(skip)]
///     distance: Distance,
/// }
///
/// one_line_display!(Margin: size, ?distance);
///
/// let margin = Margin { size: 1.0, distance: Distance::Squared };
/// assert_eq!(format!("{margin}"), "Margin {size: 1, distance: Squared}");
/// ```
///
/// Of a module around another: `one_line_display!(Chunked<L>: loss, ?chunk_rows)`.
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
    (@add $module:ident, $content:expr, $field:ident $(, $($rest:tt)*)?) => {
        $crate::one_line_display!(
            @add $module,
            $content.add(stringify!($field), &$module.$field),
            $($($rest)*)?
        )
    };
}

/// Shows an error by its message wherever its `Debug` form is printed: by a `main` that returns it, by
/// `unwrap` and by `expect`.
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
