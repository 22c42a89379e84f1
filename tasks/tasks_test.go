package tasks

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"robin"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) *Registry {
	t.Helper()
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func start(t *testing.T, r *Registry, input any, w Work) robin.Task {
	t.Helper()
	task, err := r.Start(Spec{Kind: "import", Collection: "c", Input: input}, w)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// wait gives the task once it is in a state that done accepts.
func wait(t *testing.T, r *Registry, id string, done func(robin.Task) bool) robin.Task {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		task, changed, err := r.Watch(id)
		if err != nil {
			t.Fatal(err)
		}
		if done(task) {
			return task
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("the task stays %+v", task)
		}
	}
}

func final(task robin.Task) bool { return task.Status.Final() }

func untilCanceled(ctx context.Context, _ func(robin.Progress)) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestATaskEndsWithItsResultAndIsThereAfterReopen(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	task := start(t, r, nil, func(_ context.Context, update func(robin.Progress)) (any, error) {
		update(robin.Progress{Done: 3, Total: 4})
		return map[string]int{"indexed": 4}, nil
	})
	got := wait(t, r, task.ID, final)
	if got.Status != robin.TaskSucceeded || string(got.Result) != `{"indexed":4}` || got.Progress.Done != 3 || got.Started == nil || got.Finished == nil {
		t.Fatalf("task %+v", got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, Options{Dir: dir}).Get(task.ID)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(again)
	if string(a) != string(b) {
		t.Fatalf("before %s\nafter  %s", a, b)
	}
}

func TestErrorsAndPanicsFailTheTaskOnly(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	f := func(w Work, want string) {
		t.Helper()
		got := wait(t, r, start(t, r, nil, w).ID, final)
		if got.Status != robin.TaskFailed || !strings.Contains(got.Error, want) || strings.Contains(got.Error, "secret") {
			t.Fatalf("task %+v, want an error with %q", got, want)
		}
	}
	f(func(context.Context, func(robin.Progress)) (any, error) {
		return nil, robin.Errorf(robin.CodeDiskFull, "the disk is full")
	}, "the disk is full")
	f(func(context.Context, func(robin.Progress)) (any, error) { return nil, errors.New("secret path") }, "internal error")
	f(func(context.Context, func(robin.Progress)) (any, error) { panic("secret") }, "internal error")
}

func TestCancelEndsARunningAndAWaitingTask(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir(), Parallel: 1})
	running := start(t, r, nil, func(ctx context.Context, _ func(robin.Progress)) (any, error) {
		<-ctx.Done()
		return map[string]int{"indexed": 1}, ctx.Err()
	})
	wait(t, r, running.ID, func(task robin.Task) bool { return task.Status == robin.TaskProcessing })
	waiting := start(t, r, nil, untilCanceled)
	if waiting.Status != robin.TaskEnqueued {
		t.Fatalf("the second task is %s", waiting.Status)
	}
	for _, id := range []string{waiting.ID, running.ID} {
		got, err := r.Cancel(t.Context(), id)
		if err != nil || got.Status != robin.TaskCanceled {
			t.Fatalf("canceled task %+v, error %v", got, err)
		}
	}
	if got, _ := r.Get(running.ID); string(got.Result) != `{"indexed":1}` {
		t.Fatalf("the canceled task lost its partial result: %+v", got)
	}
	if got, err := r.Cancel(t.Context(), running.ID); err != nil || got.Status != robin.TaskCanceled {
		t.Fatalf("canceling twice: %+v, %v", got, err)
	}
	if _, err := r.Cancel(t.Context(), "nope"); robin.CodeOf(err) != robin.CodeNoTask {
		t.Fatalf("canceling no task: %v", err)
	}
}

func TestListIsNewestFirstAndFilters(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	for i := range 5 {
		task := start(t, r, nil, func(context.Context, func(robin.Progress)) (any, error) {
			if i == 2 {
				return nil, robin.Errorf(robin.CodeInvalid, "bad")
			}
			return nil, nil
		})
		wait(t, r, task.ID, final)
	}
	all, total := r.List(Query{Limit: 2, Offset: 1})
	if total != 5 || len(all) != 2 || all[0].ID != "000000000004" || all[1].ID != "000000000003" {
		t.Fatalf("total %d, tasks %+v", total, all)
	}
	failed, total := r.List(Query{Status: robin.TaskFailed})
	if total != 1 || failed[0].ID != "000000000003" {
		t.Fatalf("failed %+v", failed)
	}
	if none, total := r.List(Query{Offset: 100}); total != 5 || len(none) != 0 {
		t.Fatalf("past the end: %v, %d", none, total)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Keep: 3})
	for range 7 {
		wait(t, r, start(t, r, nil, func(context.Context, func(robin.Progress)) (any, error) { return nil, nil }).ID, final)
	}
	check := func(r *Registry) {
		t.Helper()
		tasks, total := r.List(Query{})
		if total != 3 || tasks[0].ID != "000000000007" || tasks[2].ID != "000000000005" {
			t.Fatalf("%d tasks: %+v", total, tasks)
		}
	}
	check(r)
	_ = r.Close()
	r = open(t, Options{Dir: dir})
	check(r)
	if task := start(t, r, nil, func(context.Context, func(robin.Progress)) (any, error) { return nil, nil }); task.ID != "000000000008" {
		t.Fatalf("the next id is %s: ids must not be reused", task.ID)
	}
}

func TestTooManyWaitingTasksAreRefused(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir(), Parallel: 1, Waiting: 1})
	first := start(t, r, nil, untilCanceled)
	wait(t, r, first.ID, func(task robin.Task) bool { return task.Status == robin.TaskProcessing })
	start(t, r, nil, untilCanceled)
	_, err := r.Start(Spec{Kind: "import", Collection: "c"}, untilCanceled)
	var e *robin.Error
	if !errors.As(err, &e) || e.Code != robin.CodeOverloaded || e.RetryAfter <= 0 {
		t.Fatalf("the third task: %v", err)
	}
}

// crash copies the folder while the registry runs, as a kill would leave it.
func crash(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestATaskThatTheStopCutOffIsFailedWithAdvice(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	task := start(t, r, nil, untilCanceled)
	wait(t, r, task.ID, func(task robin.Task) bool { return task.Status == robin.TaskProcessing })
	got, err := open(t, Options{Dir: crash(t, dir)}).Get(task.ID)
	if err != nil || got.Status != robin.TaskFailed || !strings.Contains(got.Error, "import the file again") {
		t.Fatalf("task %+v, error %v", got, err)
	}
}

func TestASpooledTaskGoesOnAfterACrashAndAfterClose(t *testing.T) {
	for _, how := range []string{"crash", "close"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, Options{Dir: dir})
			s, size, err := r.Spool(strings.NewReader("hello"), 0)
			if err != nil || size != 5 {
				t.Fatalf("spool: %d bytes, %v", size, err)
			}
			orphan, _, err := r.Spool(strings.NewReader("an upload that was cut off"), 0)
			if err != nil {
				t.Fatal(err)
			}
			type input struct {
				Spooled
				Action string `json:"action"`
			}
			task := start(t, r, input{s, "upsert"}, untilCanceled)
			wait(t, r, task.ID, func(task robin.Task) bool { return task.Status == robin.TaskProcessing })
			if how == "close" {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				dir = crash(t, dir)
			}
			r = open(t, Options{Dir: dir, Resume: func(r *Registry, _ robin.Task, raw json.RawMessage) (Work, error) {
				var in input
				if err := json.Unmarshal(raw, &in); err != nil {
					return nil, err
				}
				return func(context.Context, func(robin.Progress)) (any, error) {
					f, err := r.OpenSpool(in.Spooled)
					if err != nil {
						return nil, err
					}
					defer f.Close()
					b, err := io.ReadAll(f)
					return in.Action + " " + string(b), err
				}, nil
			}})
			got := wait(t, r, task.ID, final)
			if got.Status != robin.TaskSucceeded || string(got.Result) != `"upsert hello"` {
				t.Fatalf("task %+v", got)
			}
			left, _ := os.ReadDir(filepath.Join(dir, spoolDir))
			if len(left) != 0 {
				t.Fatalf("spool files left: %v (orphan %s)", left, orphan.Spool)
			}
		})
	}
}

func TestCloseWaitsForTheWork(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	var ended atomic.Bool
	task := start(t, r, nil, func(ctx context.Context, _ func(robin.Progress)) (any, error) {
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		ended.Store(true)
		return nil, ctx.Err()
	})
	wait(t, r, task.ID, func(task robin.Task) bool { return task.Status == robin.TaskProcessing })
	if err := r.Close(); err != nil || !ended.Load() {
		t.Fatalf("Close returned with %v before the work ended", err)
	}
	if _, err := r.Start(Spec{Kind: "import", Collection: "c"}, untilCanceled); robin.CodeOf(err) != robin.CodeNotReady {
		t.Fatalf("Start after Close: %v", err)
	}
}

func TestADamagedRecordIsSkippedAndATruncatedFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	for range 2 {
		wait(t, r, start(t, r, nil, func(context.Context, func(robin.Progress)) (any, error) { return nil, nil }).ID, final)
	}
	_ = r.Close()
	path := filepath.Join(dir, fileName)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketName))
		v := append([]byte(nil), b.Get(key(1))...)
		v[len(v)/2] ^= 4
		return b.Put(key(1), v)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	r = open(t, Options{Dir: dir})
	if tasks, _ := r.List(Query{}); len(tasks) != 1 || tasks[0].ID != fmt.Sprintf("%012d", 2) {
		t.Fatalf("tasks %+v", tasks)
	}
	_ = r.Close()
	if err := os.Truncate(path, 9000); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); robin.CodeOf(err) != robin.CodeDamaged || !strings.Contains(err.Error(), fileName) {
		t.Fatalf("a truncated file: %v", err)
	}
}

// TestABranchThatLeadsBackIsRefused: bbolt would follow it until there is no memory left.
func TestABranchThatLeadsBackIsRefused(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	for range 60 {
		big := strings.Repeat("x", 400)
		wait(t, r, start(t, r, big, func(context.Context, func(robin.Progress)) (any, error) { return big, nil }).ID, final)
	}
	_ = r.Close()
	path := filepath.Join(dir, fileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A page of bbolt: its number u64, its kind u16 with 1 for a branch, a count u16, and 16 bytes of which 8 to 15 of each
	// element, from 16 on, say which page it leads to.
	pageSize, refused := os.Getpagesize(), 0
	for page := range len(content) / pageSize {
		b := content[page*pageSize:]
		if binary.LittleEndian.Uint64(b) != uint64(page) || binary.LittleEndian.Uint16(b[8:]) != 1 {
			continue
		}
		bad := slices.Clone(content)
		for i := range int(binary.LittleEndian.Uint16(b[10:])) {
			binary.LittleEndian.PutUint64(bad[page*pageSize+16+16*i+8:], uint64(page))
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Open(Options{Dir: dir}); err == nil { // a page of an older state, which nothing leads to
			_ = r.Close()
		} else if robin.CodeOf(err) != robin.CodeDamaged || !strings.Contains(err.Error(), fileName) {
			t.Fatalf("page %d: %v", page, err)
		} else {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no page in use leads to others")
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if tasks, _ := open(t, Options{Dir: dir}).List(Query{Limit: 100}); len(tasks) != 60 {
		t.Errorf("%d tasks after all", len(tasks))
	}
}

func TestASpoolNameCannotLeaveItsFolder(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	for _, name := range []string{"../robin.db", "/etc/passwd", "a/b", "", "."} {
		if f, err := r.OpenSpool(Spooled{name}); err == nil {
			t.Errorf("%q was opened", name)
			_ = f.Close()
		}
	}
}

func TestAnEndedTaskIsToldOnceAndAPendingOneAfterARestart(t *testing.T) {
	dir := t.TempDir()
	type told struct {
		address string
		task    robin.Task
		done    func(int, error)
	}
	calls := make(chan told, 4)
	notify := func(address string, task robin.Task, done func(int, error)) { calls <- told{address, task, done} }
	r := open(t, Options{Dir: dir, Notify: notify})
	quick := func(context.Context, func(robin.Progress)) (any, error) { return "ok", nil }
	task, err := r.Start(Spec{Kind: "import", Webhook: "https://example.com/?token=1"}, quick)
	if err != nil {
		t.Fatal(err)
	}
	call := <-calls
	if call.address != "https://example.com/?token=1" || call.task.ID != task.ID || call.task.Status != robin.TaskSucceeded || string(call.task.Result) != `"ok"` {
		t.Fatalf("told %+v", call)
	}
	// The server stops before the receiver has taken it.
	copied := crash(t, dir)
	again := open(t, Options{Dir: copied, Notify: notify})
	if call = <-calls; call.address != "https://example.com/?token=1" || call.task.ID != task.ID {
		t.Fatalf("after the restart told %+v", call)
	}
	call.done(2, nil)
	got, err := again.Get(task.ID)
	if err != nil || got.Webhook == nil || *got.Webhook != (robin.WebhookReport{State: robin.WebhookDelivered, Attempts: 2}) {
		t.Fatalf("task %+v, error %v", got.Webhook, err)
	}
	_ = again.Close()
	open(t, Options{Dir: copied, Notify: notify})
	select {
	case call := <-calls:
		t.Errorf("told again: %+v", call)
	case <-time.After(50 * time.Millisecond):
	}
	failed, err := r.Start(Spec{Kind: "import", Webhook: "https://example.com/"}, quick)
	if err != nil {
		t.Fatal(err)
	}
	(<-calls).done(6, errors.New("the receiver answered 500"))
	if got, _ := r.Get(failed.ID); got.Webhook == nil || got.Webhook.State != robin.WebhookFailed || got.Webhook.Error != "the receiver answered 500" {
		t.Errorf("a webhook that failed: %+v", got.Webhook)
	}
}

func TestWorkKnowsItsTask(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	task := start(t, r, nil, func(ctx context.Context, _ func(robin.Progress)) (any, error) { return ID(ctx), nil })
	if got := wait(t, r, task.ID, final); string(got.Result) != `"`+task.ID+`"` {
		t.Errorf("the work of task %s was told %s", task.ID, got.Result)
	}
}
