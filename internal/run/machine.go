package run

import (
	"context"
	"time"

	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/machine"
)

// leaveTimeout bounds what a driver that ends spends on saying so.
const leaveTimeout = 2 * time.Second

// heartbeat keeps the leases of attempts in flight and cancels those that were lost.
func (p *pool) heartbeat(ctx context.Context) {
	defer p.leave(ctx)
	for {
		p.beat(ctx)
		if sleep(ctx, p.o.Lease/3) != nil {
			return
		}
		p.mu.Lock()
		tokens := make([]int64, 0, len(p.inFlight))
		for t := range p.inFlight {
			tokens = append(tokens, t)
		}
		p.mu.Unlock()
		if len(tokens) == 0 {
			continue
		}
		lost, err := p.extend(ctx, tokens)
		if err != nil {
			lost, err = p.extend(ctx, tokens)
		}
		if err != nil {
			continue // the lease may outlast another try; after that the ledger fences us
		}
		p.mu.Lock()
		for _, t := range lost {
			if cancel, ok := p.inFlight[t]; ok {
				cancel(ledger.ErrFenced)
			}
		}
		p.mu.Unlock()
	}
}

// brief bounds a call that keeps a lease, so that there is time for another one: a connection may be dead without a sign.
func (r *runner) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.o.Lease/6)
}

func (p *pool) extend(ctx context.Context, tokens []int64) ([]int64, error) {
	ctx, cancel := p.brief(ctx)
	defer cancel()
	return p.ledger.Extend(ctx, p.run.UID, tokens, p.o.Lease)
}

// beat shows this driver among the run's machines. Only drover status looks at that: what fails is tried again at the next beat.
func (p *pool) beat(ctx context.Context) {
	p.mu.Lock()
	slots := p.slots
	p.mu.Unlock()
	ctx, cancel := p.brief(ctx)
	defer cancel()
	_ = p.ledger.Beat(ctx, p.run.UID, p.driver, slots)
}

// leave takes it out again. A driver that cannot say so is shown as silent until the run ends.
func (p *pool) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_ = p.ledger.Leave(ctx, p.run.UID, p.driver)
}

// beside counts the other drivers that are at work on the run, to tell it: where the ledger does not say, none are told of.
func (r *runner) beside(ctx context.Context) (n int) {
	if !r.resumed {
		return 0
	}
	machines, err := r.ledger.Machines(ctx, r.run.UID)
	if err != nil {
		return 0
	}
	for _, m := range machines {
		d, ok := machine.ParseDriver(m.Driver)
		if m.Driver != r.driver && m.Silent < r.o.Lease && (!ok || !d.Gone()) {
			n++
		}
	}
	return n
}
