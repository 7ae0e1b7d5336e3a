# What quickstart.sh and check.sh share: package names and their installation (sourced).
TUTTI_DEBIAN_BUILD="build-essential cmake pkg-config ocl-icd-opencl-dev opencl-headers libclblast-dev libcjson-dev zlib1g-dev libsodium-dev"
TUTTI_DEBIAN_RUN="pocl-opencl-icd clinfo"
TUTTI_DEBIAN_TEST="clang clang-format-14 libclang-rt-14-dev libcmocka-dev oclgrind man-db python3 python3-numpy python3-jsonschema python3-sklearn"
TUTTI_FEDORA="gcc cmake pkgconf ocl-icd-devel opencl-headers clblast-devel cjson-devel zlib-devel libsodium-devel pocl clinfo"
TUTTI_ARCH="base-devel cmake pkgconf ocl-icd opencl-headers clblast cjson zlib libsodium pocl clinfo"

# install_packages NAME…: installs what is missing; asks for sudo only when not root. On systems without apt-get names
# the packages and stops.
install_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        {
            echo "This script installs packages on Debian and Ubuntu only. Install these, then run it again with"
            echo "TUTTI_SKIP_PACKAGES=1:"
            echo "  Fedora: sudo dnf install $TUTTI_FEDORA"
            echo "  Arch:   sudo pacman -S $TUTTI_ARCH"
        } >&2
        exit 1
    fi
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Not root, and there is no sudo. As root: apt-get install ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "Installing packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
