package run

import (
	"context"
	"time"
)

// leaveTimeout bounds what a driver that ends spends on saying so.
const leaveTimeout = 2 * time.Second

// beat shows this driver among the run's machines. Only drover status looks at that: what fails is tried again at the next beat.
func (p *pool) beat(ctx context.Context) {
	p.mu.Lock()
	slots := p.slots
	p.mu.Unlock()
	_ = p.ledger.Beat(ctx, p.run.UID, p.driver, slots)
}

// leave takes it out again. A driver that cannot say so is shown as silent until the run ends.
func (p *pool) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_ = p.ledger.Leave(ctx, p.run.UID, p.driver)
}
