package main

import (
	"time"

	"github.com/alecthomas/kong"
)

// cli is every command and flag. A flag's environment variable is ROBIN_ and its name in capitals; its key in the
// configuration file is its name with underscores.
type cli struct {
	Config  kong.ConfigFlag  `help:"JSON file that sets flags by name." placeholder:"FILE"`
	Version kong.VersionFlag `help:"Print the version." env:"-"` // ROBIN_VERSION would turn every command into this

	Serve      serveCmd      `cmd:"" help:"Serve the API and the page."`
	Import     importCmd     `cmd:"" help:"Index documents from files: JSONL, JSON, CSV, TSV or Parquet, plain, gzip or zstd."`
	Search     searchCmd     `cmd:"" help:"Search a collection."`
	Export     exportCmd     `cmd:"" help:"Write a collection's documents as JSONL that imports back."`
	Quarantine quarantineCmd `cmd:"" help:"List the documents of a collection that were not written because the model gave no usable vector for their text."`
	Duplicates duplicatesCmd `cmd:"" help:"Find the documents of a file that say the same: copies, and the same in other words."`
	Eval       evalCmd       `cmd:"" help:"Measure relevance on an evaluation folder."`
	Bench      benchCmd      `cmd:"" help:"Measure how fast models and the vector index work on this machine."`
	Models     modelsCmd     `cmd:"" help:"List, pull, import, export, verify and remove models."`
	Verify     verifyCmd     `cmd:"" help:"Check every record, and that store, graph and text index agree."`
	Repair     repairCmd     `cmd:"" help:"Rebuild a collection's graph and text index from its store."`
}

// where says which data a command works on.
type where struct {
	Data string `help:"The data folder." default:"data" placeholder:"DIR"`
	URL  string `help:"Work on the running server at this address, not on a data folder." placeholder:"URL"`
}

// inference settings shared by the commands that run models.
type inference struct {
	Threads     int    `help:"Threads of each model; 0 means one per core." default:"0"`
	Device      string `help:"Where models run: cpu, cuda, cuda:N, or auto, which is a CUDA device where one works. CUDA wants --onnxruntime." default:"cpu"`
	ONNXRuntime string `name:"onnxruntime" help:"Use this ONNX Runtime library (1.24 or newer) instead of the built-in one." placeholder:"PATH"`

	nice int // of the threads that embed documents; see serveCmd.BulkNice
}

type serveCmd struct {
	inference
	Addr                string        `help:"Address to listen on." default:"127.0.0.1:8080"`
	Data                string        `help:"The data folder." default:"data" placeholder:"DIR"`
	Demo                bool          `help:"Index the demo catalogue as the collection demo if it is not there."`
	AllowRemote         bool          `help:"Listen beyond this machine. There are no keys yet: put a proxy that authenticates in front."`
	AllowHost           []string      `help:"Host names that requests may use besides localhost and the address." placeholder:"NAME"`
	MaxImportBytes      int64         `help:"Largest import body after decompression." default:"8589934592"`
	BulkNice            int           `help:"How far the threads that embed documents stand back for searches and for other programs, 0 to 19 as nice(1) counts (Linux)." default:"10"`
	MaxSearches         int           `help:"Searches that run at once; more are answered 429." default:"64"`
	CheckpointEvery     time.Duration `help:"Store a collection's graph of vectors this long after a change, or sooner after many. What came since is replayed after a crash: less time makes restarts faster and writes more to the disk. No setting loses anything." default:"5m"`
	CheckpointDocuments uint64        `help:"Changes after which the graph is stored before --checkpoint-every; in large collections it is a sixteenth of the documents if that is more." default:"10000"`
	ShutdownTimeout     time.Duration `help:"How long requests may finish after a stop signal." default:"15s"`
	WebhookAllow        []string      `help:"Addresses, networks or host names that webhooks may call although they are not public." placeholder:"HOST"`
	WebhookSecret       string        `help:"Sign webhooks with this secret (HMAC-SHA-256 in Robin-Signature)." placeholder:"SECRET"`
	LogLevel            string        `help:"Least level that is logged." enum:"debug,info,warn,error" default:"info"`
	LogFormat           string        `help:"Log lines as text or json." enum:"text,json" default:"text"`
	WebDir              string        `help:"Serve the page from this folder instead of the built-in one, for work on the page." placeholder:"DIR"`
}

type importCmd struct {
	where
	inference
	Files      []string `arg:"" help:"Files to index; - is standard input." name:"file"`
	Collection string   `help:"The collection; default: the first file's name." short:"c"`
	Action     string   `help:"What to do with ids that exist: upsert, create (fail) or update (merge fields)." enum:"upsert,create,update" default:"upsert"`
	Format     string   `help:"Format of the files: auto, jsonl, json, csv, tsv or parquet." enum:"auto,jsonl,json,csv,tsv,parquet" default:"auto"`
	Columns    []string `help:"Names of the columns of CSV without a header row, separated by commas." placeholder:"NAME"`
	Delimiter  string   `help:"The character between the cells of CSV, or the word tab; default: the one that the first line uses most." placeholder:"CHAR"`
	Dirty      string   `help:"What becomes of a value that does not have its attribute's type: reject the row, coerce what can be read in one way only, or drop the value from the document." enum:"reject,coerce,drop" default:"reject"`
	Failed     string   `help:"Where failed rows go, to be corrected and imported again; off: nowhere. Default: the file's name with .failed, in this folder." placeholder:"FILE"`
	Settings   string   `help:"JSON file with the settings of a new collection; default: guessed from the documents." placeholder:"FILE"`
	DryRun     bool     `help:"Read everything and write nothing: say which rows would fail, which fields are guessed, how long the texts are, and what time, memory and disk an import would take."`
	JSON       bool     `help:"Print the report as JSON."`
}

type searchCmd struct {
	where
	inference
	Q          string   `arg:"" help:"What to look for." name:"q"`
	Collection string   `help:"The collection." short:"c" required:""`
	Mode       string   `help:"hybrid, keyword or semantic." enum:"hybrid,keyword,semantic" default:"hybrid"`
	Filter     string   `help:"Filter expression, such as 'price < 50 AND brand IN [acme, \"b co\"]'."`
	Facet      []string `help:"Attribute to count; may be repeated."`
	Sort       []string `help:"Sort key, such as price:asc; may be repeated."`
	Limit      int      `help:"Hits to show." default:"10"`
	Offset     int      `help:"Hits to skip." default:"0"`
	Field      []string `help:"Field of the documents to show; may be repeated; default: all."`
	Fusion     string   `help:"How hybrid makes one list of two: rrf (by rank) or relative (by score)." enum:"rrf,relative" default:"rrf"`
	Alpha      *float64 `help:"Weight of the vectors in relative fusion, 0 to 1; default 0.5." placeholder:"WEIGHT"`
	Rerank     string   `help:"auto, always or off." enum:"auto,always,off" default:"auto"`
	TopN       int      `help:"Hits that the reranker may see, at most 200." default:"50"`
	BudgetMS   int      `name:"budget-ms" help:"Milliseconds that reranking may take in auto." default:"100"`
	Explain    bool     `help:"Show how each hit came about."`
	JSON       bool     `help:"Print the answer as JSON."`
}

type exportCmd struct {
	where
	Collection string `help:"The collection." short:"c" required:""`
	Output     string `help:"File to write; - is standard output." short:"o" default:"-"`
}

type quarantineCmd struct {
	where
	Collection string `help:"The collection." short:"c" required:""`
	JSON       bool   `help:"Print the list as JSON."`
}

type duplicatesCmd struct {
	where
	inference
	File       string   `arg:"" optional:"" help:"File to look through: JSONL, JSON, CSV, TSV or Parquet, plain, gzip or zstd; - is standard input."`
	Collection string   `help:"Look through this collection of --data or of --url, and not through a file." placeholder:"NAME"`
	Filter     string   `help:"Look among the documents of the collection that this filter allows." placeholder:"EXPR"`
	Threshold  float64  `help:"Least cosine of two documents that say the same; default 0.9, or what the collection's rule says." placeholder:"COSINE"`
	Keep       string   `help:"Which document of a cluster stays: first, newest:FIELD, oldest:FIELD, most_complete, highest:FIELD, lowest:FIELD, highest_rated or cheapest." default:"first"`
	Floor      float64  `help:"Least cosine that is looked for and counted; default: 0.8, or what the threshold needs." placeholder:"COSINE"`
	OneToOne   string   `help:"Join two catalogues: this field tells them apart, and a document is a duplicate of at most one of the other." placeholder:"FIELD"`
	Cross      string   `help:"Let the cross-encoder read the pairs near the threshold: auto (when the rule reads its score), on (so that --labels can teach what a score is worth) or off." enum:"auto,on,off" default:"auto"`
	Labels     string   `help:"Learn the rule from pairs that people decided: a file with the columns a, b (ids) and same (yes or no), by tabs or commas; at least 50 pairs. A collection keeps them, and the rule." placeholder:"FILE"`
	Precision  float64  `help:"Learn for this precision and not for the best F1; without --labels from those that the collection has." placeholder:"SHARE"`
	Action     string   `help:"What to do with the duplicates of a collection: report, flag, link or delete. All but the first can be taken back." enum:"report,flag,link,delete" default:"report"`
	Undo       string   `help:"Take this action on a collection's duplicates back." placeholder:"ID"`
	Settings   string   `help:"JSON file with the settings: id_field, text, embed_template; default: guessed from the documents of the file." placeholder:"FILE"`
	Columns    []string `help:"Names of the columns of a CSV file without a header." placeholder:"NAME"`
	Delimiter  string   `help:"Delimiter of a CSV file; default: the one its first line uses most." placeholder:"CHAR"`
	Format     string   `help:"Print text, jsonl (the report, each cluster, each pair) or csv (each document of each cluster)." enum:"text,jsonl,csv" default:"text"`
	Limit      int      `help:"Clusters to show as text; 0 shows all." default:"20"`
	Output     string   `help:"File to write; - is standard output." short:"o" default:"-"`
	Embedder   string   `help:"The embedder, for a file." default:"starter"`
	JSON       bool     `help:"Print the report as JSON."`
}

type evalCmd struct {
	inference
	Dir         string  `arg:"" help:"Folder with corpus.jsonl, queries.jsonl and qrels.tsv, or pairs.tsv."`
	Baseline    string  `help:"Report of an earlier run (--json) to compare with; exit code 1 when a figure fell." placeholder:"FILE"`
	Tolerance   float64 `help:"How far below the baseline a figure may be." default:"0.01"`
	Embedder    string  `help:"The embedder." default:"starter"`
	Reranker    string  `help:"The reranker." default:"starter"`
	ChunkTokens int     `help:"Cut texts into passages of so many tokens; 0 cuts them to what the embedder reads." default:"0" placeholder:"N"`
	Data        string  `help:"The data folder whose models may be named." default:"data" placeholder:"DIR"`
	JSON        bool    `help:"Print the report as JSON."`
}

type benchCmd struct {
	Embed    benchEmbedCmd    `cmd:"" help:"Documents embedded per second, beside the bare session and the machine's matrix peak."`
	Rerank   benchRerankCmd   `cmd:"" help:"Pairs scored per second, one call after the other, beside the bare session and the machine's matrix peak."`
	Tokenize benchTokenizeCmd `cmd:"" help:"Texts tokenized per second."`
	Ann      benchAnnCmd      `cmd:"" help:"Recall and speed of the vector index: build, search, filters, changes and restart."`
}

// benchOptions are shared by the measurements.
type benchOptions struct {
	File   string `arg:"" optional:"" help:"File with documents: JSONL, JSON, CSV, TSV or Parquet, plain, gzip or zstd; - is standard input. Default: the demo catalogue."`
	N      int    `help:"Documents to measure with; 0 means all." default:"2000"`
	Batch  int    `help:"Texts or pairs of a call; 0 means 256, to rerank 25." default:"0"`
	Rounds int    `help:"Rounds of which the median counts; 0 means 5." default:"5"`
	Data   string `help:"The data folder whose models may be named." default:"data" placeholder:"DIR"`
	JSON   bool   `help:"Print the report as JSON."`
}

// benchCompared is what embedding and reranking are measured beside.
type benchCompared struct {
	Compare bool `help:"Measure the bare session and the matrix peak too, in turns." default:"true" negatable:""`
}

type benchEmbedCmd struct {
	inference
	benchOptions
	benchCompared
	Embedder string `help:"The embedder: a name, or the path of a model folder." default:"starter"`
}

type benchRerankCmd struct {
	inference
	benchOptions
	benchCompared
	Reranker string `help:"The reranker: a name, or the path of a model folder." default:"starter"`
}

type benchTokenizeCmd struct {
	benchOptions
	Threads  int    `help:"Threads that tokenize; 0 means one per core." default:"0"`
	Embedder string `help:"The embedder whose tokenizer is measured: a name, or the path of a model folder." default:"starter"`
}

type benchAnnCmd struct {
	Vectors        string   `help:"File of vectors: .npy (float32), .fvecs, or .f32 (numbers alone, with --dim)." placeholder:"FILE"`
	Queries        string   `help:"File of query vectors; default: some rows held out of --vectors." placeholder:"FILE"`
	Demo           int      `help:"Measure with so many products, made of those of the demo catalogue and embedded by the starter." placeholder:"N"`
	Generate       int      `help:"Measure with so many vectors that are drawn around 2,000 centres." placeholder:"N"`
	Dim            int      `help:"Numbers of a vector, to generate and to read .f32." default:"256"`
	HeldOut        int      `help:"Rows to hold out as queries." default:"1000"`
	Seed           uint64   `help:"Decides what is drawn, held out, filtered and changed." default:"1"`
	Only           []string `help:"What to measure: build, search, filter, restart, churn; default: all." placeholder:"PART"`
	Precision      []string `help:"How vectors are held: float32, int8 (codes of a byte for each number, and the best candidates compared again as float32) or int8-alone (codes only); several are measured in turns." default:"float32"`
	Ef             []int    `help:"Candidates that searches keep; default: 22 steps from 10 to 512." placeholder:"N"`
	M              int      `name:"m" help:"Links that a new vector asks for." default:"16"`
	EfConstruction int      `help:"Candidates that an insertion weighs." default:"200"`
	Threads        int      `help:"Threads that build; 0 means one per core. One thread searches." default:"0"`
	Rounds         int      `help:"Rounds of searching, of which the median counts." default:"3"`
	Clock          string   `help:"Measure searches by wall time, or by processor time (cpu), which other work on the machine disturbs less." enum:"wall,cpu" default:"wall"`
	Plot           string   `help:"SVG file for the plot of recall and queries per second." placeholder:"FILE"`
	Save           string   `help:"Write vectors.npy and queries.npy to this folder and measure nothing, so that other libraries can be given the same." placeholder:"DIR"`
	Turns          bool     `help:"Take one measurement for each line of standard input, build or search EF, so that other libraries can be measured in turns."`
	Cache          string   `help:"Folder that keeps the vectors of --demo; default: in the user's cache folder." placeholder:"DIR"`
	JSON           bool     `help:"Print the report as JSON."`
}

type modelsCmd struct {
	List     modelsListCmd     `cmd:"" help:"List the models that collections may name."`
	Pull     modelsPullCmd     `cmd:"" help:"Fetch a model from a model hub, check it, and install it."`
	Import   modelsImportCmd   `cmd:"" help:"Copy a model folder, or an archive that export wrote, into the data folder after checking it."`
	Export   modelsExportCmd   `cmd:"" help:"Write an installed model to a new folder or archive that import reads."`
	Quantize modelsQuantizeCmd `cmd:"" help:"Make a smaller and faster model of an installed float32 one, and say how far its answers are from what they were."`
	Verify   modelsVerifyCmd   `cmd:"" help:"Check a model folder: files, checksums, tokenizer, a trial run, and its reference.json if it has one."`
	Remove   modelsRemoveCmd   `cmd:"" help:"Remove an installed model that no collection uses."`
	Try      modelsTryCmd      `cmd:"" hidden:"" help:"Load a model folder and run it once: the process of its own in which the other commands do that."`
}

type modelsPullCmd struct {
	inference
	Model    string `arg:"" help:"OWNER/NAME, or OWNER/NAME@REVISION with a branch, a tag or a commit."`
	Endpoint string `help:"Address of the model hub, or of a mirror of it. The token in HF_TOKEN is sent to its host only." env:"ROBIN_ENDPOINT,HF_ENDPOINT" placeholder:"URL"`
	Name     string `help:"Name that collections will use; default: made of the repository's name."`
	As       string `help:"Version of the copy; default: the number after the newest one that is there." placeholder:"VERSION"`
	File     string `help:"The ONNX file to take, by its path in the repository; default: the one that suits this machine." placeholder:"PATH"`
	Weights  string `help:"Which ONNX file suits, by its weights: auto (full precision on a CPU, float16 on a GPU, what there is otherwise), float32, float16 or int8 (made for this processor)." enum:"auto,float32,float16,int8" default:"auto"`
	CAFile   string `name:"ca-file" help:"PEM file of certificates to trust besides the system's." placeholder:"FILE"`
	Data     string `help:"The data folder." default:"data" placeholder:"DIR"`
	JSON     bool   `help:"Print the outcome as JSON."`
}

type modelsExportCmd struct {
	Name string `arg:"" help:"The model, or MODEL@VERSION; without a version the newest."`
	To   string `arg:"" help:"File that ends in .tar.zst, or folder. It must not exist."`
	Data string `help:"The data folder." default:"data" placeholder:"DIR"`
}

type modelsQuantizeCmd struct {
	inference
	Name        string  `arg:"" help:"The model, or MODEL@VERSION; without a version the newest."`
	To          string  `help:"Type of the weights: int8 (a quarter of the size, and faster on a CPU), or float16 (half the size, as fast as before)." enum:"int8,float16" default:"int8"`
	As          string  `help:"Name, or NAME/VERSION, of the new model; default: the name with -int8 or -float16, and the number after its newest version." placeholder:"NAME/VERSION"`
	KeepFloat32 bool    `name:"keep-float32" help:"Keep the float32 graph in the new model too, for texts of which the smaller one makes numbers that are not finite."`
	Texts       string  `help:"File with documents to compare on: JSONL, JSON, CSV, TSV or Parquet, plain, gzip or zstd. Default: the demo catalogue." placeholder:"FILE"`
	N           int     `help:"Documents to compare on." short:"n" default:"500"`
	MinCosine   float64 `help:"Least cosine that a text's vector may have with what it was; below it nothing is installed." default:"0.98" placeholder:"COSINE"`
	MinTau      float64 `help:"Least Kendall's tau, from -1 to 1, that the order of a query's passages may have with what it was, for a reranker." default:"0.9" placeholder:"TAU"`
	Data        string  `help:"The data folder." default:"data" placeholder:"DIR"`
	JSON        bool    `help:"Print the outcome as JSON."`
}

type modelsRemoveCmd struct {
	Name string `arg:"" help:"The model with all its versions, or MODEL@VERSION."`
	Data string `help:"The data folder; no server may be using it." default:"data" placeholder:"DIR"`
}

type modelsTryCmd struct {
	inference
	Dir   string `arg:""`
	Name  string
	As    string
	Shown string
}

type modelsListCmd struct {
	where
	JSON bool `help:"Print the list as JSON."`
}

type modelsVerifyCmd struct {
	inference
	Dir  string `arg:"" help:"The model folder."`
	Data string `help:"The data folder." default:"data" placeholder:"DIR"`
	JSON bool   `help:"Print the outcome as JSON."`
}

type modelsImportCmd struct {
	inference
	Dir  string `arg:"" help:"The model folder, or a .tar.zst file."`
	Name string `help:"Name that collections will use; default: the folder's name, or the one in the archive."`
	As   string `help:"Version of the copy; default: the version in robin.json, or 1."`
	Data string `help:"The data folder." default:"data" placeholder:"DIR"`
	JSON bool   `help:"Print the outcome as JSON."`
}

type verifyCmd struct {
	Data       string `help:"The data folder; no server may be using it." default:"data" placeholder:"DIR"`
	Collection string `help:"Only this collection." short:"c"`
	JSON       bool   `help:"Print the findings as JSON."`
}

type repairCmd struct {
	inference
	Data       string `help:"The data folder; no server may be using it." default:"data" placeholder:"DIR"`
	Collection string `help:"The collection." short:"c" required:""`
	JSON       bool   `help:"Print the findings as JSON."`
}
