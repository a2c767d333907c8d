package accesslink

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

const (
	// maxValidity is the longest validity that an operation gets. More would
	// have it renew what still lasts for an hour.
	maxValidity = 10 * time.Minute

	// maxPause is the longest pause that an operation can bring about for its
	// connection: as long as one request waits at all.
	maxPause = time.Minute

	// answerTimeout bounds an answer that isn't at hand.
	answerTimeout = 2 * time.Minute
)

// session is the questions and answers on one stream.
type session struct {
	link   *Link
	stream operationv1.OperationService_AccessClient
	ctx    context.Context
	work   sync.WaitGroup

	mu sync.Mutex // of sending
}

// send sends answers. It waits as long as the plugin doesn't read.
func (s *session) send(answers ...*operationv1.Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(&operationv1.AccessRequest{Answers: answers})
}

// take answers questions: at once where the answer is at hand, else when it
// is there.
func (s *session) take(questions []*operationv1.Question) error {
	if len(questions) > handshake.MaxQuestions {
		return contractBroken("it asks too much at once")
	}
	answers := make([]*operationv1.Answer, 0, len(questions))
	for _, q := range questions {
		if a := s.answer(q); a != nil {
			a.Number = q.GetNumber()
			answers = append(answers, a)
		}
	}
	if len(answers) == 0 {
		return nil
	}
	return s.send(answers...)
}

// answer returns the answer to a question, or nil if it comes later.
func (s *session) answer(q *operationv1.Question) *operationv1.Answer {
	e := s.link.execution(q.GetExecution())
	if q.GetEnded() != nil {
		if e != nil {
			e.tell.Do(func() { close(e.over) })
		}
		return nil
	}
	if e == nil || q.GetNumber() == 0 {
		s.link.log.Warn("a plugin asked for access with a handle that no execution of its process has")
		return refusal(connector.Errorf(connector.ExecutionUnknown, connector.OriginConnector,
			"Access was refused: the handle isn't that of a running execution of this process.").
			Suggest("Report it to the author of the operation: an execution's access ends with it."))
	}
	if wait := q.GetAskedToWait(); wait != nil {
		return e.wait(wait.AsDuration())
	}
	if q.GetAccess() == nil {
		return refusal(contractBroken("it asked what this host doesn't know"))
	}
	validity, err := protoconv.Duration(q.GetAccess().GetMinimumValidity(), "minimum_validity")
	if err != nil {
		return refusal(connector.Diagnose(err, connector.OriginConnector))
	}
	req := connector.AccessRequest{
		MinValidity: min(validity, maxValidity), Refused: q.GetAccess().GetRefusedGeneration(),
	}
	if granted, ok := e.granter.Ready(req); ok {
		return e.grant(granted, q.GetAccess().GetHave())
	}
	return s.later(e, q, req)
}

// later answers when the answer is there.
func (s *session) later(e *execution, q *operationv1.Question, req connector.AccessRequest) *operationv1.Answer {
	if wait := e.limit.take(time.Now()); wait > 0 {
		return refusal(tooOften(wait))
	}
	select {
	case s.link.slow <- struct{}{}:
	default:
		return refusal(tooOften(time.Second))
	}
	s.work.Go(func() {
		defer func() { <-s.link.slow }()
		ctx, cancel := context.WithTimeout(e.ctx, answerTimeout)
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		granted, err := e.granter.Grant(ctx, req)
		a := refusal(connector.Diagnose(err, connector.OriginHost))
		if err == nil {
			a = e.grant(granted, q.GetAccess().GetHave())
		}
		a.Number = q.GetNumber()
		_ = s.send(a) // a broken stream shows where it is read, and the question comes again
	})
	return nil
}

// grant answers with access, or with its number where the plugin has it.
func (e *execution) grant(g Granted, have uint64) *operationv1.Answer {
	e.mu.Lock()
	if e.sent != g.Access {
		e.sent = g.Access
		e.id++
	}
	id := e.id
	e.mu.Unlock()
	grant := &operationv1.Grant{Id: id, GoodFor: protoconv.DurationToProto(g.GoodFor)}
	if id != have {
		grant.Access = protoconv.AccessToProto(g.Access)
	}
	return &operationv1.Answer{Outcome: &operationv1.Answer_Grant{Grant: grant}, Pause: e.pause()}
}

// wait takes what the service asked for.
func (e *execution) wait(d time.Duration) *operationv1.Answer {
	if d = min(d, maxPause); d > 0 {
		e.granter.AskedToWait(d)
	}
	return &operationv1.Answer{Pause: e.pause()}
}

// pause is the pause to tell now.
func (e *execution) pause() *durationpb.Duration {
	d := e.granter.Pause()
	if d <= 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paused = time.Now().Add(d)
	return durationpb.New(d)
}

// news is a pause that wasn't told yet.
func (e *execution) news() *durationpb.Duration {
	const slack = 10 * time.Millisecond
	e.mu.Lock()
	told := time.Until(e.paused)
	e.mu.Unlock()
	if e.granter.Pause() <= max(0, told)+slack {
		return nil
	}
	return e.pause()
}

// tellPauses tells executions of pauses that others were asked for.
func (s *session) tellPauses() {
	for {
		select {
		case <-s.link.nudge:
		case <-s.ctx.Done():
			return
		}
		for handle, e := range s.link.each() {
			if pause := e.news(); pause != nil && s.send(&operationv1.Answer{Execution: handle, Pause: pause}) != nil {
				return
			}
		}
	}
}

func refusal(d *connector.Diagnostic) *operationv1.Answer {
	return &operationv1.Answer{Outcome: &operationv1.Answer_Refusal{Refusal: protoconv.DiagnosticToProto(d)}}
}

func tooOften(wait time.Duration) *connector.Diagnostic {
	return connector.Errorf(connector.RateLimited, connector.OriginHost, "The operation asks for access too often.").
		With(connector.Retry).After(wait).Suggest("Report it to the author of the operation if it happens again.")
}

func contractBroken(what string) *connector.Diagnostic {
	return connector.Errorf(connector.PluginContractBroken, connector.OriginConnector, "The operations broke their contract: %s.", what).
		Suggest("Report it to the author of the operations.")
}
