// The encoder of the tests: ffmpeg with a small picture whose flash and beep begin together once a
// second, where `docs/pattern-clock.md` has them, so that one reader measures every picture.

/** Where keyframes fall. */
export type Gop = 'regular' | 'irregular';

export interface EncoderOptions {
  /** The broadcast. */
  readonly broadcast?: string;
  /** Its stream key; without one, the same as the broadcast. */
  readonly key?: string;
  /** Pictures that refer to later ones. */
  readonly bFrames?: number;
  /** A keyframe every two seconds, or where a scene cut would put one: after one to eight. */
  readonly gop?: Gop;
  readonly video?: boolean;
}

/** Seconds from keyframe to keyframe, over and over, of an encoder that follows scene cuts. */
const IRREGULAR_GOPS_S = [2, 1, 8, 3.4, 1, 1.8, 6.2, 2.6];
/** Keyframes are listed for so long; every test of an irregular encoder is over by then. */
const IRREGULAR_S = 300;
const FPS = 30;

/** When an irregular encoder's keyframes are, in seconds. */
function irregularKeyframes(): string {
  const times = [0];
  for (let at = 0, n = 0; at < IRREGULAR_S; n++) {
    at += IRREGULAR_GOPS_S[n % IRREGULAR_GOPS_S.length] ?? 1;
    times.push(at);
  }
  return times.map((at) => at.toFixed(3)).join(',');
}

/** The arguments of an ffmpeg that publishes to `rtmp` in real time. */
export function encoderArguments(rtmp: string, options: EncoderOptions): string[] {
  const { gop = 'regular', video = true, bFrames = 0 } = options;
  const split = (text: string) => text.split(' ');
  const lit = "enable='lt(mod(t,1),0.1)'";
  const args = split('-hide_banner -loglevel warning -re');
  if (video) {
    // Something moves all the time; the disc's place is dark but for a tenth of each second.
    const place = 'x=iw*45/64:y=ih*11/36:w=iw*8/64:h=ih*8/36:t=fill';
    const source = `testsrc2=size=320x180:rate=${FPS}`;
    args.push('-f', 'lavfi', '-i');
    args.push(`${source},drawbox=${place}:color=black,drawbox=${place}:color=white:${lit}`);
    args.push('-re');
  }
  const beep = `aevalsrc='0.25*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':sample_rate=48000:c=stereo`;
  args.push('-f', 'lavfi', '-i', beep);
  if (video) {
    // Nothing is held back, unless it must be for pictures that refer to later ones.
    const tune = bFrames > 0 ? '-preset veryfast' : '-preset ultrafast -tune zerolatency';
    args.push(...split(`-c:v libx264 ${tune} -bf ${bFrames} -pix_fmt yuv420p`));
    args.push(...split('-b:v 400k -sc_threshold 0 -threads 1'));
    args.push(
      ...(gop === 'regular'
        ? ['-g', `${2 * FPS}`]
        : ['-g', `${10 * FPS}`, '-force_key_frames', irregularKeyframes()]),
    );
  }
  args.push(...split('-c:a aac -b:a 96k -flush_packets 1 -flvflags no_duration_filesize -f flv'));
  args.push(rtmp);
  return args;
}
