package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
)

// stageDriver presses the buttons of the stage.
type stageDriver struct {
	t    *testing.T
	base string
}

const stagePatience = 3 * time.Minute

func (s *stageDriver) do(r *http.Request) (int, []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	answer, err := http.DefaultClient.Do(r.WithContext(ctx))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, body
}

func (s *stageDriver) post(name string, form url.Values) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.base+"/actions/"+name, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	return r
}

func (s *stageDriver) act(name string, pairs ...string) (o page.Outcome) {
	s.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	_, body := s.do(s.post(name, form))
	if err := json.Unmarshal(body, &o); err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, body)
	}
	return o
}

func (s *stageDriver) snapshot() (shot page.Snapshot) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.base+"/snapshot", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_, body := s.do(r)
	if err := json.Unmarshal(body, &shot); err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	return shot
}

// until returns the first snapshot that will do.
func (s *stageDriver) until(what string, will func(page.Snapshot) bool) (shot page.Snapshot) {
	s.t.Helper()
	end := time.Now().Add(stagePatience)
	for shot = s.snapshot(); !will(shot); shot = s.snapshot() {
		if time.Now().After(end) {
			s.log(shot)
			s.t.Fatalf("not within %v: %s; verdict %+v, tracks %+v, NATS %+v", stagePatience, what, shot.Verdict, shot.Tracks, shot.NATS)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-s.t.Context().Done():
			s.t.FailNow()
		}
	}
	return shot
}

func (s *stageDriver) log(shot page.Snapshot) {
	slices.Reverse(shot.Log)
	for _, e := range shot.Log {
		s.t.Logf("%s %s %s", e.Time.Format("15:04:05.00"), e.Kind, e.Text)
	}
}

// trade starts the load. What strangers send is refused before that.
func (s *stageDriver) trade() {
	s.t.Helper()
	for header, value := range map[string]string{"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"} {
		r := s.post(page.ActKill, url.Values{"target": {"node-1"}})
		r.Header.Set(header, value)
		if status, _ := s.do(r); status != http.StatusForbidden {
			s.t.Errorf("%s: %s: %d", header, value, status)
		}
	}
	r := s.post(page.ActKill, url.Values{"target": {"node-1"}})
	r.Host = "elsewhere.example"
	if status, _ := s.do(r); status != http.StatusMisdirectedRequest {
		s.t.Errorf("by another name: %d", status)
	}
	for name, o := range map[string]page.Outcome{
		"a check of nothing": s.act(page.ActCheck), "a rate of nothing": s.act(page.ActLoad), "a high rate": s.act(page.ActLoad, "rate", "1e9"),
		"nobody": s.act(page.ActKill, "target", "balancer"), "nonsense": s.act("explode"),
	} {
		if o.Done || o.Text == "" {
			s.t.Errorf("%s: %+v", name, o)
		}
	}
	if o := s.act(page.ActLoad, "rate", "20"); !o.Done {
		s.t.Fatalf("load: %+v", o)
	}
	s.until("users trade over both tracks", func(shot page.Snapshot) bool {
		busy := 0
		for _, track := range shot.Tracks {
			if track.Commands != nil && *track.Commands > 0 && track.Partitions > 0 {
				busy++
			}
		}
		return shot.Verdict.Live > 20 && busy == 2 && shot.Load.Orders > 0 && shot.Balancer.Rate != nil && *shot.Balancer.Rate > 0 && len(shot.Views) > 0
	})
}

// breakThings breaks one thing after another, and looks at the check after each. The first
// is a node that is killed.
func (s *stageDriver) breakThings(times int) {
	s.t.Helper()
	random := testenv.Rand(s.t)
	refused := 0
	for n := 0; n < times; {
		shot := s.until("all is up", func(shot page.Snapshot) bool { return whole(&shot) })
		var can []page.Action
		for _, a := range shot.Actions {
			if a.Why == "" && slices.Contains([]string{page.ActKill, page.ActPause, page.ActCut, page.ActDrain, page.ActStepDown}, a.Name) {
				can = append(can, a)
			}
		}
		if len(can) == 0 {
			s.t.Fatalf("nothing can be broken: %+v", shot.Actions)
		}
		a := can[random.IntN(len(can))]
		if n == 0 {
			a = page.Action{Name: page.ActKill, Target: "node-2"}
		}
		began := time.Now()
		o := s.act(a.Name, "target", a.Target)
		if !o.Done { // on a busy machine what was up in the snapshot may be late to say so now
			if refused++; refused > times {
				s.t.Fatalf("fault %d: %+v", n+1, o)
			}
			continue
		}
		n++
		s.checked(a, began)
		if a.Name == page.ActPause || a.Name == page.ActCut {
			if random.IntN(2) == 0 { // else it ends by itself
				s.act(page.ActBack, "target", a.Target)
			}
		}
	}
	s.log(s.until("all is up again", func(shot page.Snapshot) bool { return whole(&shot) }))
}

// whole reports whether everything is up and has something to do.
func whole(shot *page.Snapshot) bool {
	for _, t := range shot.Tracks {
		if t.State != page.Up || t.Partitions == 0 {
			return false
		}
	}
	for _, one := range slices.Concat(shot.NATS, shot.Mongo) {
		if one.State != page.Up {
			return false
		}
	}
	return shot.Verdict.State != page.Checking
}

// checked waits for the check that follows a fault.
func (s *stageDriver) checked(a page.Action, began time.Time) {
	s.t.Helper()
	shot := s.until("a check after "+a.Name+" "+a.Target, func(shot page.Snapshot) bool {
		return shot.Verdict.State != page.Checking && shot.Verdict.Checked.After(began)
	})
	v := shot.Verdict
	s.t.Logf("%s %s: %s after %v: %d acknowledged, %d stored, %d lost, %d doubled, %d unknown; longest wait %v, gaps %v, took %v",
		a.Name, a.Target, v.State, v.Checked.Sub(began).Round(time.Millisecond), v.Acknowledged, v.Stored, v.Lost, v.Doubled, v.Unknown, v.LongestWait, v.Gaps, v.Took.Round(time.Millisecond))
	if v.State != page.Right || v.Acknowledged == 0 || v.Stored != v.Acknowledged || v.Lost != 0 || v.Doubled != 0 || v.After == "" {
		s.t.Errorf("after %s %s: %+v", a.Name, a.Target, v)
	}
}

// tamper stores the commit that has started a transaction once more, as if its command had
// been carried out twice. In MongoDB it takes that of another one out, and changes the answer
// that a third one has.
func (s *stageDriver) tamper() {
	s.t.Helper()
	s.act(page.ActStop) // an audit has done so
	cfg := node.Config{Replicas: 3, DataDir: s.t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	shot := s.snapshot()
	for _, one := range shot.NATS {
		cfg.NATSURL += "nats://" + one.Where + ","
	}
	cfg.NATSURL = strings.TrimSuffix(cfg.NATSURL, ",")
	lost := int64(len(shot.Mongo) / 3)
	if lost > 0 {
		cfg.MongoURI = "mongodb://" + shot.Mongo[0].Where + "/?replicaSet=trader"
	}
	opened, closing, err := node.OpenStore(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	defer closing()
	var begun []store.Commit // those that have started transactions
	for item, err := range store.FollowUntilQuiet(s.t.Context(), opened, time.Second, nil) {
		if err != nil {
			s.t.Fatal(err)
		}
		if c := item.Commit; c.First == 1 && strings.HasPrefix(string(c.Aggregate), "transaction/") {
			begun = append(begun, c)
		}
	}
	if len(begun) < 3 {
		s.t.Fatalf("%d transactions are stored", len(begun))
	}
	testharness.Eventually(s.t, time.Minute, func() bool { // others may go on with it at the same time
		again := begun[0]
		last, err := opened.LastVersion(s.t.Context(), again.Aggregate)
		again.First = last + 1
		return err == nil && opened.Append(s.t.Context(), []store.Commit{again})[0] == nil
	})
	if lost > 0 {
		s.change(cfg.MongoURI, begun[1], begun[2])
	}
	began, action := time.Now(), page.ActCheck
	if shot.Verdict.Live > 1000 { // a check looks at some of what is old, an audit at all
		action = page.ActAudit
	}
	if o := s.act(action); !o.Done {
		s.t.Fatalf("%s: %+v", action, o)
	}
	v := s.until("a check", func(shot page.Snapshot) bool {
		return shot.Verdict.State != page.Checking && shot.Verdict.Checked.After(began)
	}).Verdict
	s.t.Logf("tampered with: %s, %d lost, %d doubled, %d changed, %d broken: %s", v.State, v.Lost, v.Doubled, v.Changed, v.Broken, v.Problem)
	if v.State != page.Wrong || v.Doubled != 1 || v.Lost != lost || v.Changed != lost || v.Broken != lost || v.Stored != v.Acknowledged-lost || v.Problem == "" {
		s.t.Errorf("with a store that was tampered with: %+v", v)
	}
}

// change deletes a commit from MongoDB, and changes the first answer in another one.
func (s *stageDriver) change(uri string, gone, other store.Commit) {
	s.t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(s.t.Context())) }()
	commits := client.Database("ganglion").Collection("commits")
	id := func(c store.Commit) bson.D {
		return bson.D{{Key: "_id", Value: bson.D{{Key: "a", Value: string(c.Aggregate)}, {Key: "v", Value: int64(c.First)}}}}
	}
	done, err := commits.DeleteOne(s.t.Context(), id(gone))
	if err != nil || done.DeletedCount != 1 {
		s.t.Fatalf("%+v commits deleted: %v", done, err)
	}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "cmd.0.r", Value: bson.D{{Key: "tampered", Value: true}}}}}}
	if changed, err := commits.UpdateOne(s.t.Context(), id(other), set); err != nil || changed.ModifiedCount != 1 {
		s.t.Fatalf("%+v commits changed: %v", changed, err)
	}
}

// audit has everything checked, at rest.
func (s *stageDriver) audit() {
	s.t.Helper()
	began := time.Now()
	if o := s.act(page.ActAudit); !o.Done {
		s.t.Fatalf("audit: %+v", o)
	}
	v := s.until("an audit", func(shot page.Snapshot) bool { return shot.Verdict.Audited.After(began) }).Verdict
	s.t.Logf("audit: %s: %s %s", v.State, v.Audit, v.Problem)
	if v.State != page.Right {
		s.t.Errorf("audit: %+v", v)
	}
}

// pids returns those of all parts that run.
func (s *stageDriver) pids() (all []int) {
	s.t.Helper()
	for _, p := range s.snapshot().Parts {
		if p.PID != 0 {
			all = append(all, p.PID)
		}
	}
	return all
}
