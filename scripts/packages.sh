# Sourced: installs Debian packages for commands that are missing.

# missing COMMAND PACKAGE …: remembers the packages if the command is not there.
packages=()
missing() {
  local command=$1
  shift
  command -v "$command" >/dev/null 2>&1 || packages+=("$@")
}

# Installs what is remembered, as root or by sudo.
install_packages() {
  if [ "${#packages[@]}" -eq 0 ]; then return 0; fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      echo "Missing: ${packages[*]}. Install them, or run this as root or where sudo is." >&2
      return 1
    fi
    as_root=(sudo)
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing: ${packages[*]} (names of Debian packages). Install them with this system's package manager." >&2
    return 1
  fi
  echo "Installing ${packages[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
  packages=()
}

# Rust is not installed for anybody: it is his choice how.
need_cargo() {
  if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH="$HOME/.cargo/bin:$PATH"; fi
  if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is missing. Install Rust 1.95 or later; https://rustup.rs says how." >&2
    return 1
  fi
}
