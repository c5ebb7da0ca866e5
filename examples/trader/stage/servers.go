package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// jsz is what NATS' monitoring says of JetStream, as far as it is shown.
type jsz struct {
	Meta struct {
		Leader string `json:"leader"`
	} `json:"meta_cluster"`
	Accounts []struct {
		Streams []struct {
			Name    string `json:"name"`
			Cluster struct {
				Leader string `json:"leader"`
			} `json:"cluster"`
		} `json:"stream_detail"`
	} `json:"account_details"`
}

// natsFigures asks the servers. What one says of leaders is taken from the first that knows
// them: all say the same, but for the moment of an election.
func (e *Engine) natsFigures(ctx context.Context) []page.Server {
	all := make([]page.Server, len(e.cfg.NATS))
	leader, leads := "", map[string][]string{}
	for i, s := range e.cfg.NATS {
		all[i] = page.Server{Name: s.Name, Where: strings.TrimPrefix(s.Where, "nats://")}
		all[i].State, all[i].Since = e.stateOf(ctx, s.Name)
		var j jsz
		if all[i].State != page.Up || leader != "" || e.sampler.json(ctx, s.Admin+"/jsz?accounts=1&streams=1", &j) != nil {
			continue
		}
		leader = j.Meta.Leader
		for _, a := range j.Accounts {
			for _, one := range a.Streams {
				leads[one.Cluster.Leader] = append(leads[one.Cluster.Leader], one.Name)
			}
		}
	}
	for i := range all {
		if all[i].State == page.Up {
			if all[i].Name == leader {
				all[i].Role = "meta leader"
			}
			all[i].Leads = leads[all[i].Name]
			slices.Sort(all[i].Leads)
		}
	}
	return all
}

// replicaSet asks the members of the replica set, and has one step down. It belongs to the
// engine's samples.
type replicaSet struct {
	client  *mongo.Client
	version string
}

const mongoMax = 2 * time.Second

func openReplicaSet(uri string) (*replicaSet, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(mongoMax).SetReadPreference(readpref.Nearest()).SetMaxPoolSize(4))
	if err != nil {
		return nil, err
	}
	return &replicaSet{client: client}, nil
}

func (r *replicaSet) close(ctx context.Context) { _ = r.client.Disconnect(ctx) }

// member is what the set says of one.
type member struct {
	Name   string  `bson:"name"` // address
	State  string  `bson:"stateStr"`
	Health float64 `bson:"health"`
}

// members asks any member that answers.
func (r *replicaSet) members(ctx context.Context) ([]member, error) {
	ctx, cancel := context.WithTimeout(ctx, mongoMax)
	defer cancel()
	var status struct {
		Members []member `bson:"members"`
	}
	err := r.client.Database("admin").RunCommand(ctx, bson.D{{Key: "replSetGetStatus", Value: 1}}, options.RunCmd().SetReadPreference(readpref.Nearest())).Decode(&status)
	if err == nil && r.version == "" {
		var info struct {
			Version string `bson:"version"`
		}
		if r.client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info) == nil {
			r.version = info.Version
		}
	}
	return status.Members, err
}

// Bounds of a step-down, in seconds.
const (
	stepDownFor     = 15 // the old primary may not be elected
	stepDownCatchUp = 5
)

// stepDown has the primary resign. The server breaks the connection for it, on some
// versions, so that only the change of the primary says that it was done.
func (r *replicaSet) stepDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, (stepDownCatchUp+5)*time.Second)
	defer cancel()
	err := r.client.Database("admin").RunCommand(ctx, bson.D{
		{Key: "replSetStepDown", Value: stepDownFor}, {Key: "secondaryCatchUpPeriodSecs", Value: stepDownCatchUp},
	}, options.RunCmd().SetReadPreference(readpref.Primary())).Err()
	if mongo.IsNetworkError(err) {
		return nil
	}
	return err
}

// mongoFigures returns the members of the replica set.
func (e *Engine) mongoFigures(ctx context.Context) []page.Server {
	if e.set == nil {
		return nil
	}
	said, err := e.set.members(ctx)
	all := make([]page.Server, len(e.cfg.Mongo))
	for i, s := range e.cfg.Mongo {
		all[i] = page.Server{Name: s.Name, Where: s.Where, State: page.Dead}
		part := e.part(s.Name)
		all[i].Since = part.Since
		at := slices.IndexFunc(said, func(m member) bool { return m.Name == s.Where })
		switch {
		case part.PID == 0:
		case err != nil, at < 0, said[at].Health == 0:
			all[i].State = page.Starting
		case said[at].State == "PRIMARY", said[at].State == "SECONDARY":
			all[i].State, all[i].Role = page.Up, strings.ToLower(said[at].State)
		default:
			all[i].State, all[i].Role = page.Starting, strings.ToLower(said[at].State)
		}
	}
	return all
}

// storeName is what the store is, for people.
func (e *Engine) storeName() string {
	if e.set == nil || e.set.version == "" {
		return e.cfg.Store
	}
	return fmt.Sprintf("%s %s", e.cfg.Store, e.set.version)
}
