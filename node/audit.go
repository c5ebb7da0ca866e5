package node

import "net/http"

// audited logs what an operator asks for, before it is done: what, who as far as their
// machine knows, and from where.
func (n *Node) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			n.cfg.Logger.InfoContext(r.Context(), "operator", "method", r.Method, "action", r.URL.RequestURI(),
				"who", r.Header.Get(headerOperator), "from", r.RemoteAddr, "token", n.cfg.adminToken != "")
		}
		next.ServeHTTP(w, r)
	})
}
