package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/gofrs/flock"

	"github.com/ganglion-go/ganglion/examples/trader/stage"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	servers = 3 // of NATS, and members of the replica set
	nodes   = 2

	defaultPort = 8080
	partMax     = 2 * time.Minute // for one part to be ready
	askMax      = 3 * time.Second
	endMax      = 40 * time.Second // a node has 30 s to end in order
	lockFile    = "lock"
)

// Demo is the subcommand that runs everything.
type Demo struct {
	Store string `default:"auto" enum:"auto,mongo,jetstream" help:"auto: MongoDB, which is found or fetched, or JetStream where there is none. mongo: that, or nothing. jetstream: the NATS servers alone."`
	Data  string `type:"path" help:"Folder that keeps everything for the next time. Default: a temporary one." placeholder:"DIR"`
	Port  int    `help:"Port of the balancer. Default: 8080, or a free one." placeholder:"PORT"`
	Open  bool   `help:"Open the stage in a browser."`

	// Seed fills new stores with what is traded, over the command API at the given bases.
	Seed func(ctx context.Context, bases []string) error `kong:"-"`
	// Users and Books are how many the seed has made: those whom the stage has trade.
	Users int `kong:"-"`
	Books int `kong:"-"`
}

// demo is a running demonstration.
type demo struct {
	*Demo
	dir    string
	path   string // of the binary
	plan   *plan
	mongod string

	started  time.Time
	endStage func() // nil: it was not begun

	mu     sync.Mutex
	out    io.Writer
	ending bool
	others []*part // web servers of the other way, while it is compared with

	nats, mongo, nodes []*part
	balancer           *part
}

var errInUse = errors.New("another demonstration runs in the data folder")

// Run runs everything until stop is closed, and then ends it in order: the balancer, the
// nodes, NATS, MongoDB. The end of ctx cuts that short. What is going on is written to out,
// a line for each part.
func (c *Demo) Run(ctx context.Context, stop <-chan struct{}, out io.Writer) (err error) {
	d := &demo{Demo: c, out: out, dir: c.Data, started: time.Now()}
	if d.path, err = os.Executable(); err != nil {
		return err
	}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "trader-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	} else if err := os.MkdirAll(d.dir, privateMode); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(d.dir, lockFile))
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return err
	case !locked:
		return fmt.Errorf("%s: %w", d.dir, errInUse)
	}
	defer func() { _ = lock.Close() }()
	if d.plan, err = openPlan(d.dir, c.Store); err != nil {
		return err
	}
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // what has begun when somebody asks for the end goes no further
		select {
		case <-stop:
			cancel(errAsked)
		case <-starting.Done():
		}
	}()
	defer d.end(ctx.Done())
	if err := d.begin(starting); err != nil {
		if errors.Is(context.Cause(starting), errAsked) {
			return nil
		}
		return err
	}
	select {
	case <-stop:
	case <-ctx.Done():
	}
	return nil
}

var errAsked = errors.New("somebody asked for the end")

// say writes a line.
func (d *demo) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}

// begin starts all parts, and waits for each group before the next.
func (d *demo) begin(ctx context.Context) error {
	d.say("The trading application on this machine, everything below %s", d.dir)
	if err := d.chooseStore(ctx); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return err
	}
	if err := d.startAll(ctx, append(append([]*part{}, d.nats...), d.mongo...)); err != nil {
		return err
	}
	if err := d.startAll(ctx, append(append([]*part{}, d.nodes...), d.balancer)); err != nil {
		return err
	}
	if !d.plan.Seeded && d.Seed != nil {
		if err := d.Seed(ctx, d.bases("api")); err != nil {
			return fmt.Errorf("seed the market: %w", err)
		}
		d.plan.Seeded = true
		if err := d.plan.save(); err != nil {
			return err
		}
	}
	if err := d.openStage(ctx); err != nil {
		return fmt.Errorf("the stage: %w", err)
	}
	return d.welcome(ctx)
}

// chooseStore finds a MongoDB server, unless it is not wanted.
func (d *demo) chooseStore(ctx context.Context) (err error) {
	wanted := d.Store
	if d.plan.Store != "" {
		wanted = d.plan.Store // what is stored is there and nowhere else
	}
	if wanted == StoreJetStream {
		d.plan.Store = StoreJetStream
		return nil
	}
	d.say("looking for a MongoDB server; the first time, one is fetched")
	d.mongod, err = mongod.Find(ctx, d.out)
	switch {
	case err == nil:
		d.plan.Store = StoreMongo
		return nil
	case ctx.Err() != nil, wanted == StoreMongo:
		return err
	}
	d.say("no MongoDB server can be had, the store is JetStream: %v", err)
	d.plan.Store = StoreJetStream
	return nil
}

// prepare gives every part its address and its command.
func (d *demo) prepare() error {
	var held ports
	defer held.release()
	var failed error
	address := func(name string) string {
		wished := 0
		if name == "balancer" {
			if wished = d.Port; wished == 0 {
				wished = defaultPort
			}
		}
		addr, err := held.address(d.plan, name, wished)
		failed = errors.Join(failed, err)
		return addr
	}
	all := func(role string, n int) (addrs []string) {
		for i := range n {
			addrs = append(addrs, address(fmt.Sprintf("%s-%d", role, i+1)))
		}
		return addrs
	}
	balancer, inner := address("balancer"), address("balancer-api")
	address("stage")
	if d.Port != 0 && failed == nil && !strings.HasSuffix(balancer, fmt.Sprintf(":%d", d.Port)) {
		return fmt.Errorf("--port=%d: %w", d.Port, errPortTaken)
	}
	clients, routes, monitors := all("nats", servers), all("nats-cluster", servers), all("nats-monitor", servers)
	for i := range servers {
		d.nats = append(d.nats, d.part(fmt.Sprintf("nats-%d", i+1), "NATS server", "nats://"+clients[i], httpReady("http://"+monitors[i]+"/healthz"),
			"nats", "--addr="+clients[i], "--cluster-addr="+routes[i], "--monitor-addr="+monitors[i], "--routes="+strings.Join(routes, ",")))
	}
	store := []string{"--nats-url=nats://" + strings.Join(clients, ",nats://"), "--replicas=3"}
	if d.plan.Store == StoreMongo {
		members := all("mongo", servers)
		for i, addr := range members {
			d.mongo = append(d.mongo, d.part(fmt.Sprintf("mongo-%d", i+1), "MongoDB, member of the replica set", "mongodb://"+addr, mongoReady(members),
				"mongod", "--addr="+addr, "--members="+strings.Join(members, ","), "--binary="+d.mongod))
		}
		store = append(store, "--mongo-uri="+mongoURI(members))
	}
	webs, apis, admins := all("web", nodes), all("api", nodes), all("admin", nodes)
	backends := []string{"balancer", "--addr=" + balancer, "--api-addr=" + inner}
	for i := range nodes {
		ready := "http://" + admins[i] + "/readyz"
		d.nodes = append(d.nodes, d.part(fmt.Sprintf("node-%d", i+1), "node with a web server; command API on "+apis[i]+", administration on "+admins[i],
			"http://"+webs[i], httpReady(ready), append([]string{"node", "--http-addr=" + webs[i], "--api-addr=" + apis[i], "--admin-addr=" + admins[i], "--behind-proxy"}, store...)...))
		backends = append(backends, "--backend=http://"+webs[i]+"="+ready, "--api-backend=http://"+apis[i]+"="+ready)
		if err := d.cuttable(d.nodes[i], append(addresses(d.natsURLs()), d.mongoMembers()...)); err != nil {
			return err
		}
	}
	d.balancer = d.part("balancer", "load balancer: the pages", "http://"+balancer, httpReady("http://"+balancer+"/"), backends...)
	if failed != nil {
		return failed
	}
	return d.plan.save()
}

var errPortTaken = errors.New("somebody else has the port, or the data folder another one")

// part returns a process of this binary.
func (d *demo) part(name, what, where string, ready func(context.Context) error, args ...string) *part {
	if args[0] != "balancer" && args[0] != "unrouted" {
		args = append(args, "--data-dir="+filepath.Join(d.dir, name))
	}
	if args[0] == "nats" || args[0] == "node" {
		args = append(args, "--name="+name)
	}
	roles := map[string]stage.Role{"nats": stage.RoleNATS, "mongod": stage.RoleMongo, "node": stage.RoleNode, "balancer": stage.RoleBalancer}
	return &part{name: name, role: roles[args[0]], what: what, where: where, args: args, ready: ready, path: d.path, logPath: filepath.Join(d.dir, name+".log"), say: d.say}
}

// bases returns the addresses of all nodes in one role.
func (d *demo) bases(role string) (urls []string) {
	for i := range nodes {
		urls = append(urls, "http://"+d.plan.Addresses[fmt.Sprintf("%s-%d", role, i+1)])
	}
	return urls
}

// startAll starts parts at the same time and waits until all are ready.
func (d *demo) startAll(ctx context.Context, all []*part) error {
	ctx, cancel := context.WithTimeoutCause(ctx, partMax, fmt.Errorf("not within %v", partMax))
	defer cancel()
	for _, one := range all {
		if err := one.begin(); err != nil {
			return err
		}
		d.say("%s starts: %s", one.name, one.where)
	}
	for _, one := range all {
		if err := one.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// httpReady asks whether a URL answers 200.
func httpReady(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askMax)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, answer.Status) //nolint:err113 // for people
		}
		return nil
	}
}

// welcome says what there is, where, and how to go on.
func (d *demo) welcome(ctx context.Context) error {
	d.mu.Lock()
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\npart\twhere\tstop it with\twhat it is")
	for _, one := range append(append(append([]*part{d.balancer}, d.nodes...), d.nats...), d.mongo...) {
		_, _ = fmt.Fprintf(table, "%s\t%s\tkill -9 %d\t%s\n", one.name, one.where, one.pid(), one.what)
	}
	_, _ = fmt.Fprintf(table, "stage\t%s\tCtrl-C\tthe whole machine at work, and what breaks it; in this process\n", d.stageURL())
	err := table.Flush()
	d.mu.Unlock()
	apis := strings.Join(d.bases("api"), ",")
	audit := "--nats-url=" + strings.ReplaceAll(strings.Join(d.natsURLs(), ","), " ", "") + " --replicas=3"
	if d.plan.Store == StoreMongo {
		audit = "'--mongo-uri=" + mongoURI(d.mongoMembers()) + "'"
	}
	d.say(`
What is stopped starts again %v later. Have users trade, and audit what is stored once they are done:
  trader load --url=%s --skip-seed
  trader audit %s
where trader is %s

Give users cash and shares, and list companies: %s
See the whole machine at work, and break it: %s
Open %s and register, or log in as buyer1 ... buyer6, password demo. Ctrl-C ends all of it.`,
		againAfter, apis, audit, d.path, d.bases("api")[0]+"/", d.stageURL(), d.balancer.where)
	if d.Open {
		if err := openBrowser(ctx, d.stageURL()); err != nil {
			d.say("no browser could be opened: %v", err)
		}
	}
	return err
}

func (d *demo) natsURLs() (urls []string) {
	for _, one := range d.nats {
		urls = append(urls, one.where)
	}
	return urls
}

func (d *demo) mongoMembers() (addrs []string) {
	for _, one := range d.mongo {
		addrs = append(addrs, strings.TrimPrefix(one.where, "mongodb://"))
	}
	return addrs
}

func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch goruntime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	return exec.CommandContext(ctx, name, args...).Run() //nolint:gosec // the address is our own
}

// end ends all parts, those first that need the others.
func (d *demo) end(cut <-chan struct{}) {
	defer d.release()
	if d.balancer == nil {
		return
	}
	d.mu.Lock()
	d.ending = true
	d.mu.Unlock()
	if d.endStage != nil {
		d.endStage()
	}
	d.say("ending the balancer, the nodes, NATS and the store, in this order")
	endAll([]*part{d.balancer}, cut)
	endAll(d.nodes, cut)
	endAll(d.nats, cut)
	endAll(d.mongo, cut)
	d.say("everything has ended")
}
