package crashtest

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// alone is set in the process that runs in a network namespace of its own.
const alone = "ROBIN_ALONE"

// TestRobinOpensNoConnectionToOtherMachines does what people do with Robin where there is no network but the loopback
// device, and reads from the kernel that nothing was even tried: a connection without a way there, and a question to a
// name server, are counted.
func TestRobinOpensNoConnectionToOtherMachines(t *testing.T) {
	if os.Getenv(alone) == "" {
		inNamespace(t)
		return
	}
	loopback(t)
	before := attempts(t)
	everyday(t)
	if now := attempts(t); !maps.Equal(now, before) {
		t.Errorf("the kernel counted attempts to reach other machines: %v, before %v", now, before)
	}

	// What would have been seen: the same counters with an address, with a name server, and with the program itself.
	counted := func(what string, try func()) {
		t.Helper()
		before := attempts(t)
		try()
		for deadline := time.Now().Add(20 * time.Second); maps.Equal(attempts(t), before); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not counted, so this test sees nothing: %v", what, before)
			}
		}
	}
	dial := func(network, address string) func() {
		return func() {
			if c, err := net.Dial(network, address); err == nil {
				_, _ = c.Write([]byte("?"))
				c.Close()
			}
		}
	}
	counted("a connection", dial("tcp", "192.0.2.1:80"))
	counted("a connection by IPv6", dial("tcp", "[2001:db8::1]:80"))
	counted("a datagram", dial("udp", "192.0.2.1:53"))
	counted("a question to a name server on this machine", dial("udp", "127.0.0.1:53"))
	counted("models pull", func() {
		cmd := exec.Command(binary, "models", "pull", "owner/name", "--endpoint", "http://hub.example.com", "--data", t.TempDir())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // killed: it would try again
	})
}

// inNamespace runs the test again in a network namespace, or says why it cannot.
func inNamespace(t *testing.T) {
	t.Helper()
	var refused error
	for _, flags := range []uintptr{syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, syscall.CLONE_NEWNET} {
		if refused = namespaced(flags, os.Args[0], "-test.run=^$").Run(); refused != nil {
			continue
		}
		out, err := namespaced(flags, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v").CombinedOutput()
		t.Logf("in a network namespace:\n%s", out)
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("in a network namespace: %v", err)
		}
		return
	}
	skip(t, fmt.Sprintf("this system gives no network namespace (%v)", refused))
}

// quiets says whether ONNX Runtime sends nothing of itself where this variable is set: it is asked not to, or tells a machine
// that tests by it.
func quiets(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{
		"ORT_DISABLE_TELEMETRY", "CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL", "CODEBUILD_BUILD_ID",
		"BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR", "BITBUCKET_BUILD_NUMBER",
	}, name)
}

func namespaced(flags uintptr, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), quiets), alone+"=1", "ROBIN_BIN="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// loopback switches the only device of a new namespace on.
func loopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatalf("switch the loopback device on: %v", err)
	}
	devices, err := net.Interfaces()
	if err != nil || len(devices) != 1 || devices[0].Name != "lo" {
		t.Fatalf("want the loopback device alone: %v, %v", devices, err)
	}
}

// attempts are the kernel's counts, in this namespace, of packets and connections without a way to their address, and of
// datagrams, which Robin has no use for itself: they would be questions to a name server.
func attempts(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	read := func(file string) []string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	v4 := read("/proc/self/net/snmp") // a line of names, then one of numbers
	for i := 0; i+1 < len(v4); i += 2 {
		names, numbers := strings.Fields(v4[i]), strings.Fields(v4[i+1])
		for j, name := range names {
			if key := names[0] + name; key == "Ip:OutNoRoutes" || key == "Udp:OutDatagrams" {
				counts[key] = number(numbers[j])
			}
		}
	}
	if _, err := os.Stat("/proc/self/net/snmp6"); err == nil {
		for _, line := range read("/proc/self/net/snmp6") {
			if f := strings.Fields(line); len(f) == 2 && (f[0] == "Ip6OutNoRoutes" || f[0] == "Udp6OutDatagrams") {
				counts[f[0]] = number(f[1])
			}
		}
	}
	if len(counts) < 2 {
		t.Fatalf("the kernel counts only %v", counts)
	}
	return counts
}

// everyday serves the demo, searches it, asks the models, looks for duplicates, and does the same from the command line.
func everyday(t *testing.T) {
	t.Helper()
	dir, caches := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", caches)
	s := start(t, dir, "--demo")
	ask := func(method, path, body string, out any) {
		t.Helper()
		if err := s.send(method, path, "application/json", []byte(body), out); err != nil {
			t.Error(err)
		}
	}
	var found struct{ Hits []any }
	for deadline := time.Now().Add(time.Minute); len(found.Hits) == 0; time.Sleep(50 * time.Millisecond) { // until the demo is there
		err := s.send("POST", "/collections/demo/search", "application/json", []byte(`{"q":"something to keep my coffee hot","rerank":{"mode":"always"}}`), &found)
		if time.Now().After(deadline) {
			t.Fatalf("the demo catalogue is not found: %v", err)
		}
	}
	ask("POST", "/collections/shop/documents/import?format=jsonl", `{"id":"1","title":"red lamp"}`, nil)
	ask("POST", "/v1/embeddings", `{"input":"red lamp","model":"starter"}`, nil)
	ask("POST", "/v1/rerank", `{"query":"lamp","documents":["red lamp"],"model":"starter"}`, nil)
	ask("GET", "/models", "", nil)
	type task struct{ ID, Status string }
	var started struct{ Task task }
	var now task
	ask("POST", "/collections/demo/duplicates", `{"threshold":0.95}`, &started)
	for deadline := time.Now().Add(2 * time.Minute); now.Status != "succeeded" && !t.Failed(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the task is %s", now.Status)
		}
		ask("GET", "/tasks/"+started.Task.ID, "", &now)
	}
	s.stop()

	file := filepath.Join(t.TempDir(), "lamps.csv")
	if err := os.WriteFile(file, []byte("id,title\n1,red lamp\n2,the red lamp\n3,garden hose\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"import", file, "-c", "lamps"}, {"search", "lamp", "-c", "lamps"}, {"export", "-c", "lamps"}, {"models", "list"}, {"verify"},
		{"duplicates", file}, {"models", "verify", filepath.Join("..", "testdata", "models", "tiny-bert")},
		{"models", "import", filepath.Join("..", "testdata", "models", "tiny-bert")}, {"models", "remove", "tiny-bert"},
	} {
		if out, err := exec.Command(binary, append(args, "--data", dir)...).CombinedOutput(); err != nil {
			t.Errorf("robin %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	// What ONNX Runtime sends about its use goes out seconds after it was loaded, but it first notes a number for this machine.
	if list, err := os.ReadDir(caches); err != nil || len(list) != 1 || list[0].Name() != "robin" {
		t.Errorf("the user's cache folder holds %v, %v; want Robin's alone", list, err)
	}
}
