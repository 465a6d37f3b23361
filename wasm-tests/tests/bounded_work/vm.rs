//! The module as it is shipped, in an interpreter that counts its instructions: the least of a host that it runs with.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock},
};

use wasm_tests::envoy::module;
use wasmi::{Caller, CompilationMode, Config, Engine, Error, Extern, ExternType, Instance, Linker, Module, Store, Val};

/// Instructions that no run reaches.
const FUEL: u64 = u64::MAX / 2;

/// What a call of the host counts for, in instructions: about half a microsecond in Envoy.
const HOST_CALL: u64 = 500;

const OK: i32 = 0;
const NOT_FOUND: i32 = 1;
const CAS_MISMATCH: i32 = 8;
const EMPTY: i32 = 7;

const ROUTER: i32 = 1;
const CONTROL: i32 = 2;
const FIRST_STREAM: i32 = 10;

pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Header maps and buffers, by the numbers of the ABI.
pub(super) const REQUEST_HEADERS: i32 = 0;
pub(super) const REQUEST_TRAILERS: i32 = 1;
pub(super) const RESPONSE_HEADERS: i32 = 2;
pub(super) const RESPONSE_TRAILERS: i32 = 3;
const CALL_HEADERS: i32 = 6;
const REQUEST_BODY: i32 = 0;
const RESPONSE_BODY: i32 = 1;
const CALL_BODY: i32 = 4;
const CONFIGURATION: i32 = 7;

/// A call that the module made.
#[derive(Debug, Clone)]
pub(super) struct Call {
    id: u32,
    pub(super) path: String,
}

/// What the VMs of one Envoy share.
type Shared = Arc<Mutex<HashMap<Vec<u8>, (Vec<u8>, u32)>>>;

#[derive(Default)]
struct World {
    /// Nanoseconds.
    now: u64,
    maps: HashMap<i32, Fields>,
    buffers: HashMap<i32, Vec<u8>>,
    shared: Shared,
    /// Which of several VMs this is.
    number: u8,
    metrics: Vec<(Vec<u8>, u64)>,
    queues: HashMap<u32, VecDeque<Vec<u8>>>,
    names: Vec<Vec<u8>>,
    calls: Vec<Call>,
    host_calls: u64,
    /// Status and body of the answer that the module gave itself.
    local: Option<(i32, Vec<u8>)>,
    log: Vec<String>,
}

/// One VM with a router and a control listener in it.
pub(super) struct Vm {
    store: Store<World>,
    instance: Instance,
    streams: i32,
}

fn compiled() -> &'static (Engine, Module) {
    static MODULE: OnceLock<(Engine, Module)> = OnceLock::new();
    MODULE.get_or_init(|| {
        let mut config = Config::default();
        config.consume_fuel(true).compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        let bytes = std::fs::read(module().expect("the module is built")).expect("the module is read");
        let module = Module::new(&engine, &bytes).expect("the module is valid");
        (engine, module)
    })
}

pub(super) fn field(name: &str, value: impl AsRef<[u8]>) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_ref().to_vec())
}

impl Vm {
    /// A router of this configuration.
    pub(super) fn new(router: &serde_json::Value) -> Self {
        let mut vm = Self::unconfigured();
        assert!(vm.configure(ROUTER, router.to_string().as_bytes()), "{:?}", vm.store.data().log);
        let control = serde_json::json!({"role": "control", "allow_any_cluster": true});
        vm.call("proxy_on_context_create", &[CONTROL, 0]);
        assert!(vm.configure(CONTROL, control.to_string().as_bytes()), "{:?}", vm.store.data().log);
        vm
    }

    /// A root that has no configuration yet.
    pub(super) fn unconfigured() -> Self {
        Self::sharing(Shared::default(), 0)
    }

    /// Another VM of the same Envoy, as its workers have them, with the same configuration.
    pub(super) fn beside(&self, router: &serde_json::Value) -> Self {
        let world = self.store.data();
        let mut vm = Self::sharing(Arc::clone(&world.shared), world.number + 1);
        assert!(vm.configure(ROUTER, router.to_string().as_bytes()));
        vm
    }

    fn sharing(shared: Shared, number: u8) -> Self {
        let (engine, module) = compiled();
        let mut store =
            Store::new(engine, World { now: 1_700_000_000_000_000_000, shared, number, ..World::default() });
        store.set_fuel(FUEL).expect("fuel is counted");
        let mut linker = Linker::<World>::new(engine);
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { panic!("{} is no function", import.name()) };
            let name = import.name().to_owned();
            let host = move |mut caller: Caller<'_, World>, arguments: &[Val], results: &mut [Val]| {
                let status = host_call(&mut caller, &name, arguments)?;
                if let [result] = results {
                    *result = Val::I32(status);
                }
                Ok(())
            };
            linker.func_new(import.module(), import.name(), ty.clone(), host).expect("each import once");
        }
        let instance = linker.instantiate_and_start(&mut store, module).expect("the module starts");
        let mut vm = Self { store, instance, streams: FIRST_STREAM };
        vm.call("_initialize", &[]);
        vm.call("proxy_on_context_create", &[ROUTER, 0]);
        vm.call("proxy_on_vm_start", &[ROUTER, 0]);
        vm
    }

    /// Whether the router takes a configuration.
    pub(super) fn configure_router(&mut self, bytes: &[u8]) -> bool {
        self.configure(ROUTER, bytes)
    }

    fn configure(&mut self, root: i32, bytes: &[u8]) -> bool {
        self.store.data_mut().buffers.insert(CONFIGURATION, bytes.to_vec());
        self.call("proxy_on_configure", &[root, len(bytes)]) == 1
    }

    /// What `work` takes, in instructions, host calls among them.
    pub(super) fn steps(&mut self, work: impl FnOnce(&mut Self)) -> u64 {
        let before = self.spent();
        work(self);
        self.spent() - before
    }

    fn spent(&self) -> u64 {
        FUEL - self.store.get_fuel().expect("fuel is counted") + HOST_CALL * self.store.data().host_calls
    }

    fn call(&mut self, name: &str, arguments: &[i32]) -> i32 {
        let function = self.instance.get_func(&self.store, name).unwrap_or_else(|| panic!("no {name}"));
        let arguments: Vec<_> = arguments.iter().map(|&argument| Val::I32(argument)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function
            .call(&mut self.store, &arguments, &mut results)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{:?}", self.store.data().log));
        results.first().and_then(Val::i32).unwrap_or_default()
    }

    /// A stream of the router with these headers and that body, the whole of it at once. Returns it.
    pub(super) fn request(&mut self, headers: Fields, body: &[u8]) -> i32 {
        self.stream(ROUTER, headers, body)
    }

    /// A call of the control API.
    pub(super) fn control(&mut self, method: &str, path: &str, body: &[u8]) -> i32 {
        let headers = vec![field(":method", method), field(":path", path), field(":authority", "127.0.0.1:8888")];
        self.stream(CONTROL, headers, body)
    }

    fn stream(&mut self, root: i32, headers: Fields, body: &[u8]) -> i32 {
        self.streams += 1;
        let stream = self.streams;
        let world = self.store.data_mut();
        world.local = None;
        world.maps.insert(REQUEST_HEADERS, headers);
        world.buffers.insert(REQUEST_BODY, body.to_vec());
        self.call("proxy_on_context_create", &[stream, root]);
        self.call("proxy_on_request_headers", &[stream, 0, i32::from(body.is_empty())]);
        if !body.is_empty() {
            self.call("proxy_on_request_body", &[stream, len(body), 1]);
        }
        stream
    }

    /// The answer's headers, and its body in these pieces.
    pub(super) fn answer<'a>(&mut self, stream: i32, headers: Fields, pieces: impl IntoIterator<Item = &'a [u8]>) {
        self.store.data_mut().maps.insert(RESPONSE_HEADERS, headers);
        self.call("proxy_on_response_headers", &[stream, 0, 0]);
        for piece in pieces {
            self.store.data_mut().buffers.insert(RESPONSE_BODY, piece.to_vec());
            self.call("proxy_on_response_body", &[stream, len(piece), 0]);
        }
        self.store.data_mut().buffers.insert(RESPONSE_BODY, Vec::new());
        self.call("proxy_on_response_body", &[stream, 0, 1]);
        self.end(stream);
    }

    pub(super) fn trailers(&mut self, stream: i32, map: i32, fields: Fields) {
        self.store.data_mut().maps.insert(map, fields);
        let name = if map == REQUEST_TRAILERS { "proxy_on_request_trailers" } else { "proxy_on_response_trailers" };
        self.call(name, &[stream, 0]);
    }

    fn end(&mut self, stream: i32) {
        self.call("proxy_on_log", &[stream]);
        self.call("proxy_on_done", &[stream]);
        self.call("proxy_on_delete", &[stream]);
    }

    /// Lets a tenth of a second pass, and the module look around. Returns the calls that it made.
    pub(super) fn tick(&mut self) -> Vec<Call> {
        self.store.data_mut().now += 100_000_000;
        self.call("proxy_on_tick", &[ROUTER]);
        std::mem::take(&mut self.store.data_mut().calls)
    }

    /// Answers one of them.
    pub(super) fn answer_call(&mut self, call: &Call, headers: Fields, body: &[u8]) {
        let count = i32::try_from(headers.len()).expect("few headers");
        self.store.data_mut().maps.insert(CALL_HEADERS, headers);
        self.store.data_mut().buffers.insert(CALL_BODY, body.to_vec());
        self.call("proxy_on_http_call_response", &[ROUTER, call.id.cast_signed(), count, len(body), 0]);
    }

    /// The status and the body of the answer that the module gave to the last stream itself.
    pub(super) fn local(&self) -> Option<(i32, String)> {
        let local = self.store.data().local.as_ref();
        local.map(|(status, body)| (*status, String::from_utf8_lossy(body).into_owned()))
    }

    /// A header of the request, as it goes on.
    pub(super) fn request_header(&self, name: &str) -> Option<String> {
        let fields = self.store.data().maps.get(&REQUEST_HEADERS)?;
        let (_, value) = fields.iter().find(|(own, _)| own == name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

fn len(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("a size of the tests")
}

fn pairs(fields: &Fields) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_le_bytes();
    let mut out = u32::try_from(fields.len()).expect("few").to_le_bytes().to_vec();
    for (name, value) in fields {
        out.extend(size(name));
        out.extend(size(value));
    }
    for part in fields.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(part);
        out.push(0);
    }
    out
}

/// Bytes of the module's memory.
fn read(caller: &Caller<'_, World>, at: &Val, len: &Val) -> Vec<u8> {
    let (at, len) = (index(at), index(len));
    memory(caller).data(caller).get(at..at + len).expect("inside the memory").to_vec()
}

fn index(value: &Val) -> usize {
    value.i32().expect("an i32").cast_unsigned() as usize
}

fn memory(caller: &Caller<'_, World>) -> wasmi::Memory {
    caller.get_export("memory").and_then(Extern::into_memory).expect("a memory")
}

fn write(caller: &mut Caller<'_, World>, at: usize, bytes: &[u8]) {
    let memory = memory(caller);
    memory.write(caller, at, bytes).expect("inside the memory");
}

/// Hands bytes over: in memory that the module allocates.
fn give(caller: &mut Caller<'_, World>, bytes: &[u8], data: &Val, size: &Val) -> Result<(), Error> {
    let mut at = 0;
    if !bytes.is_empty() {
        let allocate = caller.get_export("proxy_on_memory_allocate").and_then(Extern::into_func).expect("an allocator");
        let mut results = [Val::I32(0)];
        allocate.call(&mut *caller, &[Val::I32(len(bytes))], &mut results)?;
        at = index(&results[0]);
        write(caller, at, bytes);
    }
    write(caller, index(data), &u32::try_from(at).expect("32 bits").to_le_bytes());
    write(caller, index(size), &len(bytes).to_le_bytes());
    Ok(())
}

/// What the host does; the status of the ABI.
#[allow(clippy::too_many_lines, reason = "one case a function of the ABI")]
fn host_call(caller: &mut Caller<'_, World>, name: &str, a: &[Val]) -> Result<i32, Error> {
    caller.data_mut().host_calls += 1;
    match name {
        "proxy_log" => {
            let line = String::from_utf8_lossy(&read(caller, &a[1], &a[2])).into_owned();
            caller.data_mut().log.push(line);
        }
        "proxy_get_current_time_nanoseconds" => {
            let now = caller.data().now;
            write(caller, index(&a[0]), &now.to_le_bytes());
        }
        "clock_time_get" => {
            let now = caller.data().now;
            write(caller, index(&a[2]), &now.to_le_bytes());
        }
        "proxy_get_buffer_bytes" => {
            let kind = a[0].i32().expect("a kind");
            let (start, most) = (index(&a[1]), index(&a[2]));
            let Some(buffer) = caller.data().buffers.get(&kind) else { return Ok(NOT_FOUND) };
            let bytes = buffer.get(start..).unwrap_or_default();
            let bytes = bytes[..bytes.len().min(most)].to_vec();
            give(caller, &bytes, &a[3], &a[4])?;
        }
        "proxy_set_buffer_bytes" => {
            let bytes = read(caller, &a[3], &a[4]);
            caller.data_mut().buffers.insert(a[0].i32().expect("a kind"), bytes);
        }
        "proxy_get_header_map_pairs" => {
            let bytes = pairs(caller.data().maps.get(&a[0].i32().expect("a kind")).unwrap_or(&Vec::new()));
            give(caller, &bytes, &a[1], &a[2])?;
        }
        "proxy_get_header_map_value" => {
            let name = read(caller, &a[1], &a[2]);
            let fields = caller.data().maps.get(&a[0].i32().expect("a kind"));
            let found = fields.and_then(|fields| fields.iter().find(|(own, _)| *own == name));
            let Some((_, value)) = found.cloned() else { return Ok(NOT_FOUND) };
            give(caller, &value, &a[3], &a[4])?;
        }
        "proxy_add_header_map_value" | "proxy_replace_header_map_value" => {
            let field = (read(caller, &a[1], &a[2]), read(caller, &a[3], &a[4]));
            caller.data_mut().maps.entry(a[0].i32().expect("a kind")).or_default().push(field);
        }
        "proxy_remove_header_map_value" => {
            let name = read(caller, &a[1], &a[2]);
            let fields = caller.data_mut().maps.entry(a[0].i32().expect("a kind")).or_default();
            fields.retain(|(own, _)| *own != name);
        }
        "proxy_get_property" => {
            let value = match read(caller, &a[0], &a[1]).as_slice() {
                b"upstream\0request_attempt_count" => 1_u64.to_le_bytes().to_vec(),
                b"destination\0address" => b"127.0.0.1:8888".to_vec(),
                _ => return Ok(NOT_FOUND),
            };
            give(caller, &value, &a[2], &a[3])?;
        }
        "proxy_get_shared_data" => {
            let key = read(caller, &a[0], &a[1]);
            let found = caller.data().shared.lock().expect("no panic").get(&key).cloned();
            let Some((value, cas)) = found else { return Ok(NOT_FOUND) };
            give(caller, &value, &a[2], &a[3])?;
            write(caller, index(&a[4]), &cas.to_le_bytes());
        }
        "proxy_set_shared_data" => {
            let (key, value) = (read(caller, &a[0], &a[1]), read(caller, &a[2], &a[3]));
            let wanted = a[4].i32().expect("a version").cast_unsigned();
            let mut shared = caller.data().shared.lock().expect("no panic");
            let before = shared.get(&key).map_or(0, |(_, cas)| *cas);
            if wanted != 0 && before != 0 && wanted != before {
                return Ok(CAS_MISMATCH);
            }
            shared.insert(key, (value, before + 1));
        }
        "proxy_register_shared_queue" => {
            let name = read(caller, &a[0], &a[1]);
            caller.data_mut().names.push(name);
            let id = u32::try_from(caller.data().names.len()).expect("few queues");
            write(caller, index(&a[2]), &id.to_le_bytes());
        }
        "proxy_resolve_shared_queue" => {
            let name = read(caller, &a[2], &a[3]);
            let Some(at) = caller.data().names.iter().position(|own| *own == name) else { return Ok(NOT_FOUND) };
            write(caller, index(&a[4]), &u32::try_from(at + 1).expect("few queues").to_le_bytes());
        }
        "proxy_enqueue_shared_queue" => {
            let message = read(caller, &a[1], &a[2]);
            caller
                .data_mut()
                .queues
                .entry(a[0].i32().expect("a queue").cast_unsigned())
                .or_default()
                .push_back(message);
        }
        "proxy_dequeue_shared_queue" => {
            let queue = caller.data_mut().queues.entry(a[0].i32().expect("a queue").cast_unsigned()).or_default();
            let Some(message) = queue.pop_front() else { return Ok(EMPTY) };
            give(caller, &message, &a[1], &a[2])?;
        }
        "proxy_send_local_response" => {
            let body = read(caller, &a[3], &a[4]);
            caller.data_mut().local = Some((a[0].i32().expect("a status"), body));
        }
        "proxy_http_call" => {
            let headers = read(caller, &a[2], &a[3]);
            let text = String::from_utf8_lossy(&headers).into_owned();
            let path =
                text.split('\0').skip_while(|part| !part.ends_with(":path")).nth(1).unwrap_or_default().to_owned();
            let id = u32::try_from(caller.data().host_calls).expect("few calls");
            caller.data_mut().calls.push(Call { id, path });
            write(caller, index(&a[9]), &id.to_le_bytes());
        }
        "proxy_define_metric" => {
            let name = read(caller, &a[1], &a[2]);
            caller.data_mut().metrics.push((name, 0));
            let id = u32::try_from(caller.data().metrics.len() - 1).expect("few metrics");
            write(caller, index(&a[3]), &id.to_le_bytes());
        }
        "proxy_increment_metric" | "proxy_record_metric" => {
            let value = a[1].i64().expect("a value").cast_unsigned();
            let metric = caller.data_mut().metrics.get_mut(index(&a[0]));
            let Some((_, sum)) = metric else { return Ok(NOT_FOUND) };
            *sum = if name == "proxy_record_metric" { value } else { sum.wrapping_add(value) };
        }
        "proxy_get_metric" => {
            let Some((_, value)) = caller.data().metrics.get(index(&a[0])).cloned() else { return Ok(NOT_FOUND) };
            write(caller, index(&a[1]), &value.to_le_bytes());
        }
        "environ_sizes_get" => {
            write(caller, index(&a[0]), &0_u32.to_le_bytes());
            write(caller, index(&a[1]), &0_u32.to_le_bytes());
        }
        "random_get" => {
            let bytes: Vec<u8> = (0..index(&a[1])).map(|n| (n * 37 + 11) as u8 ^ caller.data().number).collect();
            write(caller, index(&a[0]), &bytes);
        }
        "proc_exit" => return Err(Error::new("the module ended itself")),
        "proxy_set_tick_period_milliseconds"
        | "proxy_set_effective_context"
        | "proxy_set_property"
        | "proxy_continue_stream"
        | "environ_get"
        | "fd_write" => {}
        other => return Err(Error::new(format!("the module called {other}"))),
    }
    Ok(OK)
}
