package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/nodetest"
)

// A shop: an order sets a timer, asks the world for its bill, starts a saga that reserves what
// was ordered, and has a policy write it down.
type (
	orderState struct {
		Amount int64             `json:"amount"`
		Place  orderPlace        `json:"place"`
		Tags   []string          `json:"tags"`
		Note   string            `json:"note,omitempty"`
		Extra  map[string]string `json:"extra,omitempty"`
		Billed string            `json:"billed,omitempty"`
	}
	orderPlace struct {
		City string `json:"city"`
	}
	placeOrder struct {
		actor.Replies[int64]
		Amount int64      `json:"amount"`
		Place  orderPlace `json:"place"`
		Tags   []string   `json:"tags"`
		Note   string     `json:"note"`
		Item   string     `json:"item"`
	}
	remindOrder struct{ actor.Replies[actor.None] }
	billOrder   struct {
		actor.Replies[actor.None]
		actor.Performed[string]
	}
	clearOrder  struct{ actor.Replies[actor.None] }
	secretOrder struct{ actor.Replies[actor.None] }
	orderPlaced struct {
		Amount int64      `json:"amount"`
		Place  orderPlace `json:"place"`
		Tags   []string   `json:"tags"`
		Note   string     `json:"note"`
		Item   string     `json:"item"`
	}
	orderReminded struct{}
	orderBilled   struct{ Bill string }
	orderCleared  struct{}

	deliveryState struct{ Order string }
	deliveryBegun struct{ Order, Item string }
	deliverNot    struct {
		actor.Replies[actor.None]
		actor.Refused
	}
	deliveryFailed struct{ Why string }

	stockState   struct{ Left int }
	reserveStock struct{ actor.Replies[actor.None] }
	fillStock    struct {
		actor.Replies[actor.None]
		Count int
	}
	stockFilled   struct{ Count int }
	stockReserved struct{}

	diaryState struct{ Lines int }
	writeDiary struct {
		actor.Replies[actor.None]
		Line string
	}
	diaryWritten struct{ Line string }
)

var errNoStock = actor.Reject("no_stock", "there is none left")

func orderShop() (node.Config, []actor.Registrable) {
	billing := actor.DefineEffect[string, string]("billing", actor.EffectPolicy{})
	const stockKind actor.Kind = "stock"
	orders := actor.Define("order", func(d *actor.Definition[orderState]) {
		d.Effects(billing)
		actor.On(d, func(_ *orderState, ctx *actor.Context, c placeOrder) (int64, error) {
			ctx.Raise(orderPlaced{Amount: c.Amount, Place: c.Place, Tags: c.Tags, Note: c.Note, Item: c.Item})
			ctx.After(time.Millisecond, remindOrder{})
			billing.Perform(ctx, ctx.Address().ID, billOrder{}, nil)
			return c.Amount, nil
		})
		actor.On(d, func(_ *orderState, ctx *actor.Context, _ remindOrder) (actor.None, error) {
			ctx.Raise(orderReminded{})
			ctx.After(time.Hour, clearOrder{}, actor.TimerName("Later"))
			return actor.None{}, nil
		})
		actor.On(d, func(_ *orderState, ctx *actor.Context, c billOrder) (actor.None, error) {
			ctx.Raise(orderBilled{Bill: c.Result})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *orderState, ctx *actor.Context, _ clearOrder) (actor.None, error) {
			ctx.Raise(orderCleared{})
			return actor.None{}, nil
		})
		actor.On(d, func(*orderState, *actor.Context, secretOrder) (actor.None, error) { return actor.None{}, nil }, actor.Internal())
		actor.Apply(d, func(o *orderState, e orderPlaced) {
			o.Amount, o.Place, o.Tags, o.Note = e.Amount, e.Place, e.Tags, e.Note
			o.Extra = map[string]string{"item": e.Item}
		})
		actor.Apply(d, func(*orderState, orderReminded) {})
		actor.Apply(d, func(o *orderState, e orderBilled) { o.Billed = e.Bill })
		actor.Apply(d, func(o *orderState, _ orderCleared) { o.Note, o.Extra, o.Tags = "", nil, o.Tags[:1] })
	})
	deliveries := actor.DefineSaga("delivery", func(d *actor.SagaDefinition[deliveryState]) {
		actor.StartsOn(d, orders, func(_ *deliveryState, ctx *actor.Context, e orderPlaced) {
			record, _ := ctx.Event()
			ctx.Raise(deliveryBegun{Order: record.Source.ID, Item: e.Item})
			ctx.Send(stockKind.ID(e.Item), reserveStock{}, actor.OnRefusal(deliverNot{}))
		}, func(_ orderPlaced, r actor.EventRecord) string { return r.Source.ID })
		actor.On(d, func(_ *deliveryState, ctx *actor.Context, c deliverNot) (actor.None, error) {
			ctx.Raise(deliveryFailed{Why: c.Refusal.Reason})
			return actor.None{}, nil
		})
		actor.Apply(d, func(s *deliveryState, e deliveryBegun) { s.Order = e.Order })
		actor.Apply(d, func(*deliveryState, deliveryFailed) {})
	})
	stock := actor.Define(stockKind, func(d *actor.Definition[stockState]) {
		actor.On(d, func(s *stockState, ctx *actor.Context, _ reserveStock) (actor.None, error) {
			if s.Left == 0 {
				return actor.None{}, errNoStock
			}
			ctx.Raise(stockReserved{})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *stockState, ctx *actor.Context, c fillStock) (actor.None, error) {
			ctx.Raise(stockFilled{Count: c.Count})
			return actor.None{}, nil
		})
		actor.Apply(d, func(s *stockState, e stockFilled) { s.Left += e.Count })
		actor.Apply(d, func(s *stockState, _ stockReserved) { s.Left-- })
		d.Rejections(errNoStock)
	})
	diaries := actor.Define("diary", func(d *actor.Definition[diaryState]) {
		d.Internal()
		actor.On(d, func(_ *diaryState, ctx *actor.Context, c writeDiary) (actor.None, error) {
			ctx.Raise(diaryWritten{Line: c.Line})
			return actor.None{}, nil
		})
		actor.Apply(d, func(s *diaryState, _ diaryWritten) { s.Lines++ })
	})
	writing := actor.DefinePolicy("writing", func(d *actor.PolicyDefinition) {
		actor.When(d, orders, func(ctx *actor.PolicyContext, e orderPlaced) {
			ctx.Send(stockKind.ID("sold-"+e.Item), fillStock{Count: 1})
			ctx.Send(diaries.ID("all"), writeDiary{Line: e.Note})
		})
	})
	perform := billing.By(func(_ context.Context, _ actor.Call, id string) (string, error) { return "bill of " + id, nil })
	return node.Config{Effects: []*actor.Performer{perform}, DashboardCommands: true},
		[]actor.Registrable{orders, deliveries, stock, diaries, writing}
}

// browser looks at the pages of a node's dashboard.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

func (b *browser) do(method, path string, form url.Values) (int, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text strings.Builder
	if _, err := bufio.NewReader(response.Body).WriteTo(&text); err != nil {
		b.t.Fatal(err)
	}
	return response.StatusCode, text.String()
}

// shows looks at a page, which must have all of that.
func (b *browser) shows(path string, want ...string) string {
	b.t.Helper()
	status, text := b.get(path)
	for try := 0; status == http.StatusServiceUnavailable && try < 30; try++ { // a page has a bound of time, which a busy machine may not meet
		status, text = b.get(path)
	}
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, status, text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.t.Errorf("%s lacks %q:\n%s", path, w, text[strings.Index(text, "<main"):])
		}
	}
	return text
}

// link returns the first link of a page that contains all of that.
func (b *browser) link(text string, parts ...string) string {
	b.t.Helper()
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		to, ok := html.UnescapeString(m[1]), true
		for _, p := range parts {
			ok = ok && strings.Contains(to, p)
		}
		if ok {
			return to
		}
	}
	b.t.Fatalf("no link with %q in\n%s", parts, text)
	return ""
}

// value is the value of a hidden field of a page.
func (b *browser) value(text, name string) string {
	b.t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(text)
	if m == nil {
		b.t.Fatalf("no field %s in\n%s", name, text)
	}
	return html.UnescapeString(m[1])
}

func startOrderShop(t *testing.T) (*nodetest.Node, *browser) {
	cfg, definitions := orderShop()
	n := nodetest.Start(t, cfg, definitions...)
	return n, &browser{t: t, base: n.AdminURL(), http: n.HTTP()}
}

func page(name string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "/dashboard/" + name + "?" + q.Encode()
}

// post sends a command over the HTTP API.
func post(t *testing.T, n *nodetest.Node, kind, id, command string, body any) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	c := caller{t, n.URL()}
	if a := c.post("/v1/"+kind+"/"+url.PathEscape(id)+"/"+command, string(data)); a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", command, a.status, a.body)
	}
}

// TestDashboard_Aggregates follows an order through the pages: lists, history, states with
// their differences, causes and effects in both directions, over ids with odd characters.
func TestDashboard_Aggregates(t *testing.T) {
	t.Parallel()
	n, b := startOrderShop(t)
	const odd = `a/../b %2F <b>"ü`
	post(t, n, "order", odd, "placeOrder", map[string]any{
		"amount": int64(9007199254740993), "place": map[string]string{"city": "<i>Köln"}, "tags": []string{"x", "y"}, "note": "</code><script>alert(1)</script>", "item": odd,
	})
	post(t, n, "order", "plain", "placeOrder", map[string]any{"amount": 1, "item": "i"})
	n.AtRest()

	list := b.shows("/dashboard/aggregates", "order", "delivery", "stock")
	if strings.Contains(list, "diary") || strings.Contains(list, "writing") {
		t.Error("a kind of the application's own, or a policy, is listed")
	}
	list = b.shows(page("aggregates", "kind", "order", "prefix", "a/"), html.EscapeString(odd))
	if strings.Contains(list, "plain") {
		t.Error("the prefix is not looked at")
	}
	of := "order/" + odd
	history := b.shows(b.link(list, "/dashboard/aggregate?of="), "orderPlaced.v1", "orderBilled.v1", "sets timer", "asks the world for billing", "Later", "9007199254740993")
	if strings.Contains(history, "<script>alert") || strings.Contains(history, "<i>") {
		t.Error("what an event holds is not escaped")
	}
	b.shows(page("aggregate", "of", of, "order", "oldest"), "orderPlaced.v1")
	if first, last := strings.Index(history, "orderPlaced.v1"), strings.Index(history, "orderBilled.v1"); first < last {
		t.Error("the newest is not first")
	}

	b.shows(page("state", "of", of, "version", "1"), "9007199254740993", "&lt;i&gt;Köln", "(the whole state)", "added")
	n.AtRest()
	post(t, n, "order", odd, "clearOrder", struct{}{})
	last := strings.Count(history, "<b>") + 1
	now := b.shows(page("state", "of", of, "version", strconv.Itoa(last)), "/note", "removed", "/tags/1", "/extra")
	if !strings.Contains(now, "<del>") {
		t.Errorf("what was there before is not shown: %s", now)
	}
	b.shows(page("state", "of", of, "version", "0", "from", strconv.Itoa(last)), "What changed from version", "It did not exist then", "removed")
	if status, text := b.get(page("state", "of", of, "version", "99")); status != http.StatusNotFound || !strings.Contains(text, "ends before version 99") {
		t.Errorf("a version beyond the end: %d %s", status, text)
	}
	for _, bad := range []string{page("state", "of", "nothing"), page("state", "of", of, "version", "-1"), page("aggregate", "of", "Order/x"), page("aggregates", "kind", "order", "prefix", "\xff")} {
		if status, _ := b.get(bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, status)
		}
	}
	for _, hidden := range []string{page("aggregate", "of", "diary/all"), page("state", "of", "diary/all"), page("command", "of", "diary/all", "version", "1"), page("aggregates", "kind", "diary")} {
		if status, _ := b.get(hidden); status != http.StatusNotFound {
			t.Errorf("%s of the application's own: %d", hidden, status)
		}
	}

	tree := b.shows(page("command", "of", of, "version", "1"), "saga delivery reacts", "policy writing reacts", "timer remindOrder", "effect billing", "not shown",
		"A caller", "reserveStock", "refused: no_stock", "refusal reported", "billOrder", "orderReminded.v1", "deliverNot")
	if strings.Contains(tree, "diaryWritten") {
		t.Error("what is the application's own is in the tree")
	}
	// Upwards from the end of the chain: the saga was told that its command was refused.
	told := b.shows(b.link(tree, "/dashboard/command?", url.QueryEscape("delivery/"+odd), "version=2"), "refusal reported", "saga delivery reacts", "A caller", "placeOrder", "reserveStock")
	if strings.Contains(told, "none that is near") {
		t.Error("a cause was not found")
	}
	b.shows(page("command", "of", "stock/sold-"+odd, "version", "1", "by", of), "policy writing reacts", "placeOrder")
	b.shows(page("command", "of", "stock/sold-"+odd, "version", "1", "by", "order/plain"), "none that is near")
}

// TestDashboard_Tail follows events with filters, until the page goes.
func TestDashboard_Tail(t *testing.T) {
	t.Parallel()
	n, b := startOrderShop(t)
	post(t, n, "stock", "one", "fillStock", map[string]int{"Count": 3})
	post(t, n, "stock", "two", "fillStock", map[string]int{"Count": 4})
	n.AtRest()
	shown := b.shows(page("tail", "kind", "stock", "id", "tw"), "stock/two", "stockFilled.v1")
	if strings.Contains(shown, "stock/one") {
		t.Error("the prefix is not looked at")
	}
	if text := b.shows(page("tail", "user", "nobody")); !strings.Contains(text, "Nothing that matches") {
		t.Error("the principal is not looked at")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+page("tail", "event", "Filled", "live", "1"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	post(t, n, "order", "o", "placeOrder", map[string]any{"amount": 1, "item": "live <x>"})
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), html.EscapeString("stock/sold-live <x>")) {
			return
		}
		if strings.Contains(lines.Text(), "orderPlaced") {
			t.Fatal("the event's name is not looked at")
		}
	}
	t.Fatal("the event did not come")
}

// TestDashboard_Send sends a command by its form: after a look at it, with exact numbers, once
// for two presses, and what is refused says so. Without leave nothing is sent.
func TestDashboard_Send(t *testing.T) {
	t.Parallel()
	n, b := startOrderShop(t)
	const of = "order/x/y"
	form := b.shows(page("send", "of", of, "command", "placeOrder"), "/amount", "/place/city")
	if strings.Contains(form, "secretOrder") {
		t.Error("what is the application's own is offered")
	}
	fields := url.Values{"form": {b.value(form, "form")}, "of": {of}, "command": {"placeOrder"}, "key": {b.value(form, "key")}}
	filled := url.Values{"/amount": {"9007199254740993"}, "/place/city": {"Bonn"}, "/tags": {`["a"]`}, "/item": {"i"}}
	maps.Copy(filled, fields)
	filled.Set("/amount", "1.5")
	if status, text := b.do(http.MethodPost, "/dashboard/send/review", filled); status != http.StatusBadRequest || !strings.Contains(text, "whole number") {
		t.Errorf("a fraction: %d %s", status, text)
	}
	filled.Set("/amount", "9007199254740993")
	status, review := b.do(http.MethodPost, "/dashboard/send/review", filled)
	if status != http.StatusOK || !strings.Contains(review, "9007199254740993") {
		t.Fatalf("review: %d %s", status, review)
	}
	if a := (caller{t, n.URL()}).do(http.MethodGet, "/v1/order/x%2Fy", ""); a.status != http.StatusNotFound {
		t.Fatalf("a look at it has sent it: %d", a.status)
	}
	body := html.UnescapeString(regexp.MustCompile(`(?s)<textarea name="body" hidden>(.*?)</textarea>`).FindStringSubmatch(review)[1])
	fields.Set("body", body)
	for i, want := range []string{"Carried out: version", "It had been sent before"} {
		if status, text := b.do(http.MethodPost, "/dashboard/send/do", fields); status != http.StatusOK || !strings.Contains(text, want) {
			t.Fatalf("press %d: %d %s", i, status, text)
		}
	}
	n.AtRest()
	var events struct {
		Events []struct{ Type, User, Data json.RawMessage }
	}
	a := (caller{t, n.URL()}).do(http.MethodGet, "/v1/order/x%2Fy/events", "")
	if err := json.Unmarshal(a.body, &events); err != nil || strings.Count(string(a.body), "orderPlaced.v1") != 1 {
		t.Fatalf("%v: %s", err, a.body)
	}
	if first := events.Events[0]; string(first.User) != `"operator:dashboard"` || !strings.Contains(string(first.Data), "9007199254740993") {
		t.Errorf("the event is of %s: %s", first.User, first.Data)
	}

	reserve := b.shows(page("send", "of", "stock/empty", "command", "reserveStock"))
	refused := url.Values{"form": {b.value(reserve, "form")}, "of": {"stock/empty"}, "command": {"reserveStock"}, "key": {b.value(reserve, "key")}, "body": {"{}"}}
	if status, text := b.do(http.MethodPost, "/dashboard/send/do", refused); status != http.StatusUnprocessableEntity || !strings.Contains(text, "no_stock") || !strings.Contains(text, "there is none left") {
		t.Errorf("a refusal: %d %s", status, text)
	}
	for name, change := range map[string][2]string{
		"another form":          {"form", "x"},
		"no key":                {"key", ""},
		"an internal command":   {"command", "secretOrder"},
		"an internal aggregate": {"of", "diary/all"},
		"no JSON":               {"body", "{"},
	} {
		bad := url.Values{}
		maps.Copy(bad, refused)
		bad.Set(change[0], change[1])
		if status, text := b.do(http.MethodPost, "/dashboard/send/do", bad); status < 400 || status > 499 || !strings.Contains(text, "Nothing was") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

// TestDashboard_SendsNothing of a node that lets nobody send commands.
func TestDashboard_SendsNothing(t *testing.T) {
	t.Parallel()
	cfg, definitions := orderShop()
	cfg.DashboardCommands = false
	n := nodetest.Start(t, cfg, definitions...)
	b := &browser{t: t, base: n.AdminURL(), http: n.HTTP()}
	if status, _ := b.get(page("send", "of", "stock/s", "command", "fillStock")); status != http.StatusForbidden {
		t.Errorf("the form: %d", status)
	}
	fields := url.Values{"form": {b.value(b.shows("/dashboard/projections"), "form")}, "of": {"stock/s"}, "command": {"fillStock"}, "key": {"k"}, "body": {`{"Count":1}`}}
	if status, _ := b.do(http.MethodPost, "/dashboard/send/do", fields); status != http.StatusForbidden {
		t.Errorf("sent: %d", status)
	}
	if a := (caller{t, n.URL()}).do(http.MethodGet, "/v1/stock/s", ""); a.status != http.StatusNotFound {
		t.Errorf("something was stored: %d %s", a.status, a.body)
	}
	if text := b.shows(page("aggregate", "of", "stock/s")); strings.Contains(text, "Send a command") {
		t.Error("it is offered")
	}
}
