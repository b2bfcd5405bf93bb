//! Declares a section so that its keys, defaults, types and descriptions stand in one place.

use super::reader::Reader;

/// One key, for documents and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: String,
    /// Its default as TOML; `None`: not set.
    pub default: Option<String>,
}

/// One `[section]` of the file.
pub trait Section: Default {
    /// Its name.
    const NAME: &'static str;
    /// What it is about.
    const ABOUT: &'static [&'static str];
    /// Its keys in order.
    fn keys() -> Vec<Key>;
    /// Takes its keys out of the reader.
    fn read(reader: &mut Reader) -> Self;
}

macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident in $section:literal {
            $( $(#[doc = $key_about:literal])+ $key:ident: $type:ty = $default:expr, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $key_about])+ pub $key: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $crate::config::section::Section for $name {
            const NAME: &'static str = $section;
            const ABOUT: &'static [&'static str] = &[$($about),+];

            fn keys() -> Vec<$crate::config::section::Key> {
                let default = Self::default();
                vec![$(
                    $crate::config::section::Key {
                        name: stringify!($key),
                        about: [$($key_about),+].map(str::trim).join(" "),
                        default: $crate::config::setting::Setting::show(&default.$key),
                    },
                )+]
            }

            fn read(reader: &mut $crate::config::reader::Reader) -> Self {
                let default = Self::default();
                Self { $($key: reader.take($section, stringify!($key), default.$key),)+ }
            }
        }
    };
}

pub(crate) use section;
