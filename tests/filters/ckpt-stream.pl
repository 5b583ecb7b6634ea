#!/usr/bin/perl
# tests/filters/ckpt-stream.pl STEP[:BEST] NAME=TEXT ... -- STEP ... : a checkpoint stream, written independently
#
# NAME=@N is a file of N zero bytes.  Options before: --no-end leaves END away, --seconds S sleeps before each COMMIT.
use strict;
use warnings;
binmode STDOUT;
$| = 1;
my ($end, $seconds) = (1, 0);
while (@ARGV && $ARGV[0] =~ /^--./) {
    my $o = shift;
    if ($o eq '--no-end') { $end = 0 } elsif ($o eq '--seconds') { $seconds = shift } else { die "unknown $o" }
}
my @table = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub crc { my ($c, $s) = @_; $c ^= 0xFFFFFFFF; $c = ($c >> 8) ^ $table[($c ^ $_) & 255] for unpack 'C*', $s; $c ^ 0xFFFFFFFF }
sub uint {
    my $n = shift;
    return pack('C', $n) if $n < 128;
    return pack('CC', 0xcc, $n) if $n < 256;
    return pack('Cn', 0xcd, $n) if $n < 65536;
    return $n < 4294967296 ? pack('CN', 0xce, $n) : pack('CQ>', 0xcf, $n);
}
sub str { my $s = shift; length $s < 32 ? pack('C', 0xa0 | length $s) . $s : pack('CC', 0xd9, length $s) . $s }
sub bin { my $s = shift; pack('CN', 0xc6, length $s) . $s }
my ($all, $q, $bytes, $commits) = (0, 0, 0, 0);
sub out { my $s = shift; $all = crc($all, $s); print $s }
sub record {
    my ($t, $body) = @_;
    out("\x84" . str('t') . str($t) . str('q') . uint($q++)
        . str('n') . uint(length $body) . str('c') . uint(crc(0, $body)));
    out($body);
}
out("\x84" . str('penstock') . uint(1) . str('kind') . str('checkpoint') . str('run') . bin('0123456789abcdef')
    . str('stages') . "\x91\x82" . str('name') . str('train-step') . str('version') . str('0'));
while (@ARGV) {
    my ($step, $best) = split /:/, shift;
    my $files = 0;
    while (@ARGV && (my $a = shift) ne '--') {
        my ($name, $text) = split /=/, $a, 2;
        $text = "\0" x $1 if $text =~ /^@(\d+)$/;
        record('FILE', "\x83" . str('step') . uint($step) . str('name') . str($name) . str('size') . uint(length $text));
        record('CHUNK', "\x81" . str('data') . bin($_)) for unpack '(a1000000)*', $text;
        $bytes += length $text;
        $files++;
    }
    sleep $seconds if $seconds;
    record('COMMIT', "\x83" . str('step') . uint($step) . str('files') . uint($files)
                   . str('best') . ($best ? uint($best) : "\xc0"));
    $commits++;
}
exit unless $end;
print "\x84" . str('t') . str('END') . str('checkpoints') . uint($commits) . str('bytes') . uint($bytes)
    . str('c') . uint($all);
