package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFlagBeatsTheEnvironmentWhichBeatsTheConfigFile(t *testing.T) {
	// Each source names another address that cannot be listened on, and the error says which was used.
	file := write(t, "robin.json", `{"addr": "from-file", "max_searches": 3, "colour": "from no flag"}`)
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := robinRun(t, "", append([]string{"serve", "--data", t.TempDir()}, args...)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("robin %s: exit %d, %s; want %q", strings.Join(args, " "), code, errs, want)
		}
	}
	f(`"colour" is not a flag`, "--config", file)
	if err := os.WriteFile(file, []byte(`{"addr": "from-file", "max_searches": 3, "collection": "of another command"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f(`--addr "from-file"`, "--config", file)
	t.Setenv("ROBIN_CONFIG", file)
	f(`--addr "from-file"`)
	t.Setenv("ROBIN_ADDR", "from-environment")
	f(`--addr "from-environment"`)
	f(`--addr "from-environment"`, "--config", file)
	f(`--addr "from-flag"`, "--config", file, "--addr", "from-flag")
}

func TestAConfigFileThatIsNoneIsNamed(t *testing.T) {
	f := func(want, path string) {
		t.Helper()
		code, _, errs := robinRun(t, "", "models", "list", "--config", path)
		if code != exitUsage || !strings.Contains(errs, want) || !strings.Contains(errs, path) {
			t.Errorf("exit %d, %s; want %q and the file's name", code, errs, want)
		}
	}
	f("must be a JSON object", write(t, "list.json", `["data"]`))
	f("must be a JSON object", write(t, "two.json", `{} {}`))
	f(`"max-searches" is not a flag; write a flag's name with underscores`, write(t, "dash.json", `{"max-searches": 3}`))
	f(`"version" is not a flag`, write(t, "version.json", `{"version": true}`))
	f("no such file", filepath.Join(t.TempDir(), "missing.json"))
}

func TestNoEnvironmentVariableTurnsACommandIntoVersion(t *testing.T) {
	t.Setenv("ROBIN_VERSION", "1")
	if out := must(t, "", "models", "list"); !strings.Contains(out, "starter") {
		t.Errorf("models list printed %s", out)
	}
	if out := must(t, "", "--version"); out != "robin "+version+"\n" {
		t.Errorf("--version printed %s", out)
	}
}
