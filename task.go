package robin

import (
	"encoding/json"
	"time"
)

// TaskStatus is where a task stands.
type TaskStatus string

// The states of a task. The last three are final.
const (
	TaskEnqueued   TaskStatus = "enqueued"
	TaskProcessing TaskStatus = "processing"
	TaskSucceeded  TaskStatus = "succeeded"
	TaskFailed     TaskStatus = "failed"
	TaskCanceled   TaskStatus = "canceled"
)

// Final says whether a task in this state can still change.
func (s TaskStatus) Final() bool {
	return s == TaskSucceeded || s == TaskFailed || s == TaskCanceled
}

// Task is a long piece of work that outlives its request.
type Task struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"` // "import" or "duplicates"
	Collection string          `json:"collection,omitempty"`
	Status     TaskStatus      `json:"status"`
	Progress   Progress        `json:"progress"`
	Result     json.RawMessage `json:"result,omitempty"`
	Error      string          `json:"error,omitempty"`
	Created    time.Time       `json:"created"`
	Started    *time.Time      `json:"started,omitempty"`
	Finished   *time.Time      `json:"finished,omitempty"`
	Webhook    *WebhookReport  `json:"webhook,omitempty"` // when one was asked for and the task has ended
}

// WebhookReport says what became of telling another system that a task has ended. It does not hold the address, which
// may have a secret in it.
type WebhookReport struct {
	State    WebhookState `json:"state"`
	Attempts int          `json:"attempts,omitempty"`
	Error    string       `json:"error,omitempty"`
}

// WebhookState is where a webhook stands.
type WebhookState string

// The states of a webhook. One that is pending when the server stops is sent after the next start.
const (
	WebhookPending   WebhookState = "pending"
	WebhookDelivered WebhookState = "delivered"
	WebhookFailed    WebhookState = "failed"
)

// Progress of a task. Total is 0 while it is not known.
type Progress struct {
	Done   int     `json:"done"`
	Failed int     `json:"failed"`
	Total  int     `json:"total"`
	PerS   float64 `json:"per_s"`
	EtaS   float64 `json:"eta_s"`
}
